"""The stand-in under the name of another tool."""

from train import main

main()
