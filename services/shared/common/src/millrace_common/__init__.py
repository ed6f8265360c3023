"""What Millrace's services share: command line, settings, JSON logs, health over HTTP."""
