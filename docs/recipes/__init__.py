"""docs/recipes.md: our recipes next to the published ones, made from the configs."""
