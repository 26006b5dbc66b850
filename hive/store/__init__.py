"""The only package that talks to Redis: keys, scripts, typed replies."""
