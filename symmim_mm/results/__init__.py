"""Result records of finished runs, and the table and report page made from them."""
