import Foundation

/// Starts a program found on the path, with its output in `output` and, unless -1, `input` as its standard input.
func spawn(_ command: [String], input: Int32 = -1, output: String = "/dev/null") throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if input >= 0 { posix_spawn_file_actions_adddup2(&actions, input, 0) }
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var variables = ProcessInfo.processInfo.environment
    // A BLAS must not start a thread per core beside libtorch's own.
    variables["OPENBLAS_NUM_THREADS"] = "1"
    let environment = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    let arguments = command.map { strdup($0) } + [nil]
    defer { for text in arguments + environment { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, command[0], &actions, nil, arguments, environment)
    guard code == 0 else { throw ChaosError("cannot start \(command[0]): errno \(code)") }
    return pid
}

/// Waits for a child: its status, or nil while it runs and `blocking` is false.
func reap(_ pid: pid_t, blocking: Bool) -> Node.Ending? {
    var status: Int32 = 0
    while true {
        let found = waitpid(pid, &status, blocking ? 0 : WNOHANG)
        if found < 0, errno == EINTR { continue }
        guard found == pid else { return nil }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }
}
