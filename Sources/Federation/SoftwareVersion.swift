/// The version this build calls itself in messages, logs and `--version`.
public let softwareVersion = "0.1.0"
