"""The Jupyter widgets behind vmxsim's public functions."""
