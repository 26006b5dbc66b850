"""Hives on one machine, and fleets: the supervisor with its parts, who starts and joins them, and the fleet's scaler."""
