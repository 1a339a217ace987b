"""The front end of the widgets: their JavaScript and style sheets."""
