"""The commands of ``vmxsim``, a file for each kind."""
