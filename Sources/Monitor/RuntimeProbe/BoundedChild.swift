import Foundation

/// A child process of which only the standard output counts, and only so much of it, until a deadline. It gets a process
/// group of its own, which is killed at the end whatever happens; standard input stays open as long as we live.
enum BoundedChild {
    enum Failure: Error, Equatable, CustomStringConvertible {
        case notStarted(Int32)
        case tooMuchOutput
        case tooLate
        case cancelled
        case exited(Int32)
        case signalled(Int32)

        var description: String {
            switch self {
            case .notStarted(let number): "cannot be started: \(String(cString: strerror(number)))"
            case .tooMuchOutput: "wrote more than a measurement can be"
            case .tooLate: "took too long and was stopped"
            case .cancelled: "was stopped"
            case .exited(let status): "ended with status \(status)"
            case .signalled(let number): "was killed by signal \(number)"
            }
        }
    }

    /// Everything the child printed, if it ended with status 0 in time.
    /// - Parameters:
    ///   - path: of the program; it is neither searched for nor given to a shell.
    ///   - isCancelled: asked several times a second.
    static func output(
        of path: String, arguments: [String], environment: [String: String], byteLimit: Int,
        deadline: ContinuousClock.Instant, isCancelled: () -> Bool = { false }
    ) throws(Failure) -> [UInt8] {
        let input = try pipe()
        defer { close(input.write) }
        let output: (read: Int32, write: Int32)
        do throws(Failure) { output = try pipe() } catch {
            close(input.read)
            throw error
        }
        defer { close(output.read) }
        let started = spawn(path, [path] + arguments, environment, input: input.read, output: output.write)
        close(input.read)
        close(output.write)
        let child: pid_t
        switch started {
        case .success(let identifier): child = identifier
        case .failure(let failure): throw failure
        }
        let result = Result { () throws(Failure) -> [UInt8] in
            let check = { () throws(Failure) in
                if isCancelled() { throw .cancelled }
                if ContinuousClock.now >= deadline { throw .tooLate }
            }
            let bytes = try read(output.read, byteLimit: byteLimit, check)
            try waitForEnd(of: child, check)
            return bytes
        }
        // Before it is reaped, so that its number cannot be another's yet; with it whatever it started.
        kill(-child, SIGKILL)
        kill(child, SIGKILL)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        let bytes = try result.get()
        guard status & 0x7F == 0 else { throw .signalled(status & 0x7F) }
        guard status == 0 else { throw .exited(status >> 8 & 0xFF) }
        return bytes
    }

    /// Both ends are closed in children, unless one is given to them.
    private static func pipe() throws(Failure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Foundation.pipe(&ends) == 0 else { throw .notStarted(errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String: String], input: Int32, output: Int32
    ) -> Result<pid_t, Failure> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        // Locks and sockets of ours must not live on in it. Closing what is not open is no error here, so a few numbers
        // more make room for what other threads open meanwhile.
        for file in 3...highestFile + 64 { posix_spawn_file_actions_addclose(&actions, file) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let words = arguments.map { strdup($0) } + [nil]
        let variables = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var child: pid_t = 0
        let error = posix_spawn(&child, path, &actions, &attributes, words, variables)
        return error == 0 ? .success(child) : .failure(.notStarted(error))
    }

    /// The largest number of a file that this process has open.
    private static var highestFile: Int32 {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.compactMap { Int32($0) }.max() ?? 1024
    }

    private static func read(
        _ file: Int32, byteLimit: Int, _ check: () throws(Failure) -> Void
    ) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            try check()
            var waiting = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 100) > 0 else { continue }
            let count = Foundation.read(file, &piece, piece.count)
            if count == 0 { return bytes }
            guard count > 0 else {
                if errno == EINTR { continue }
                return bytes
            }
            guard bytes.count + count <= byteLimit else { throw .tooMuchOutput }
            bytes += piece[..<count]
        }
    }

    /// Until it has ended; it stays a zombie, whose number is nobody else's.
    private static func waitForEnd(of child: pid_t, _ check: () throws(Failure) -> Void) throws(Failure) {
        while true {
            var information = siginfo_t()
            let result = waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT)
            if result == 0, information.si_signo == SIGCHLD { return }
            try check()
            usleep(2000)
        }
    }
}
