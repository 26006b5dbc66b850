"""Results: written by the holder of the delivery only, told to those who wait, replaced where a guard says no."""
