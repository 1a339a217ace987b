"""The Jupyter widgets behind vmxsim's public functions, one file per function."""
