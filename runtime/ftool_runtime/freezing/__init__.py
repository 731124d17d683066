"""What tools that freeze an app, such as PyInstaller, have to know about this package."""
