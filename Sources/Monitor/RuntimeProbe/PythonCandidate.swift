import Foundation

/// A Python that may have `onnxruntime`.
public struct PythonCandidate: Sendable, Equatable {
    public var path: String
    /// Whether `PLEACH_PYTHON` names it: then no other is tried.
    public var isNamedByUser: Bool

    public init(path: String, isNamedByUser: Bool = false) {
        self.path = path
        self.isNamedByUser = isNamedByUser
    }

    /// How reasons call it.
    var name: String { isNamedByUser ? "PLEACH_PYTHON" : escapedForTerminal(path, limit: 200) }

    /// `PLEACH_PYTHON` alone where it is set (a path, or a name on `PATH`); else `python3` on `PATH`, then what
    /// `make runtime` makes: `.build/runtime/venv`, of the build this program belongs to or of the current folder.
    public static func all(
        environment: [String: String], executable: String = runningExecutable,
        directory: String = FileManager.default.currentDirectoryPath
    ) -> [PythonCandidate] {
        if let named = environment["PLEACH_PYTHON"], !named.isEmpty {
            let path = named.contains("/") ? named : onPath(named, environment) ?? named
            return [PythonCandidate(path: path, isNamedByUser: true)]
        }
        var paths = [onPath("python3", environment)].compactMap(\.self)
        var builds = [directory + "/.build"]
        if let build = buildFolder(of: executable), build != builds[0] { builds.insert(build, at: 0) }
        paths += builds.map { $0 + "/runtime/venv/bin/python" }.filter(isExecutable)
        return paths.map { PythonCandidate(path: $0) }
    }

    /// The file of this process.
    public static var runningExecutable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    }

    private static func onPath(_ name: String, _ environment: [String: String]) -> String? {
        (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            // A relative entry would run whatever lies in the current folder.
            .first { $0.hasPrefix("/") && isExecutable($0) }
    }

    private static func buildFolder(of executable: String) -> String? {
        let parts = executable.split(separator: "/")
        guard let index = parts.lastIndex(of: ".build") else { return nil }
        return "/" + parts[...index].joined(separator: "/")
    }

    private static func isExecutable(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
            && FileManager.default.isExecutableFile(atPath: path)
    }
}
