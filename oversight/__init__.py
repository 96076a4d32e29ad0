"""The wiring on top, and the floors that everything stands on."""
