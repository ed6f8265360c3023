"""What Millrace's services share: settings, JSON logs, health over HTTP, Kafka settings, message schemas."""
