import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What `Graph.load(path:)` does with tensors whose data lie in files of their own.
public enum ExternalDataRule: Sendable, Equatable {
    /// They are read from the model's folder and the folders in it.
    case besideModel
    /// They are refused: for files that another machine wrote.
    case refused
}

/// The folder that holds a model's external data. A model names its data files, so names are not trusted: nothing
/// outside the folder is opened, whether by absolute path, by '..' or through a symbolic link.
final class ExternalDataFolder {
    /// The folder with every symbolic link resolved; empty is the root folder.
    private let folder: String
    private let model: String
    /// Bytes that may still be read: a small file may name a large one many times.
    private(set) var byteBudget: Int

    /// - Parameter byteBudget: the most bytes all tensors together may take.
    init(modelPath: String, byteBudget: Int) throws(ModelError) {
        model = modelPath
        self.byteBudget = byteBudget
        let slash = modelPath.lastIndex(of: "/")
        let parent = slash.map { $0 == modelPath.startIndex ? "/" : String(modelPath[..<$0]) } ?? "."
        guard let resolved = Self.resolved(parent) else {
            throw .unreadableFile(path: parent, reason: Self.reason(errno))
        }
        folder = resolved == "/" ? "" : resolved
    }

    /// The bytes of one tensor.
    /// - Parameter byteCount: how many its shape takes; a stated length must be the same.
    func read(_ entries: [OnnxStringStringEntryProto], byteCount: Int, what: String) throws(ModelError) -> [UInt8] {
        let place = try ExternalPlace(entries, what: what, path: model)
        if let length = place.length, length != byteCount {
            throw .malformedFile(
                path: model, reason: "\(what) needs \(byteCount) bytes but its external data have \(length)")
        }
        guard byteCount <= byteBudget else {
            throw .unsupportedFile(
                path: model,
                reason:
                    "with \(what) its tensors exceed \(ModelLimits.fileByteCount) bytes, which one ONNX file can hold")
        }
        byteBudget -= byteCount
        return try read(place, byteCount: byteCount, what: what)
    }

    private func read(_ place: ExternalPlace, byteCount: Int, what: String) throws(ModelError) -> [UInt8] {
        let (model, location) = (self.model, place.location)
        func failed(_ number: Int32) -> ModelError {
            .unreadableFile(
                path: "\(folder)/\(location)", reason: "\(Self.reason(number)); \(what) of \(model) is stored there")
        }
        guard let file = Self.resolved("\(folder)/\(location)") else { throw failed(errno) }
        guard file.hasPrefix(folder + "/") else {
            throw .unsupportedFile(
                path: model, reason: "\(what) is stored in '\(location)', a link that leaves the model's folder")
        }
        // Opening without waiting, so that a pipe of this name cannot hold the reader up.
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw failed(errno) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw failed(errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else {
            throw .unreadableFile(path: file, reason: "it is not a regular file; \(what) of \(model) is stored there")
        }
        let (end, overflow) = place.offset.addingReportingOverflow(byteCount)
        guard !overflow, end <= Int(facts.st_size) else {
            throw .malformedFile(
                path: model,
                reason: "\(what) is stored at byte \(place.offset) of '\(location)' and needs \(byteCount) bytes, but "
                    + "that file has \(facts.st_size)")
        }
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            while filled < byteCount, let base = buffer.baseAddress {
                let count = pread(descriptor, base + filled, byteCount - filled, off_t(place.offset + filled))
                if count < 0, errno == EINTR { continue }
                if count < 0 { failure = errno }
                guard count > 0 else { return }
                filled += count
            }
        }
        guard failure == 0 else { throw failed(failure) }
        guard bytes.count == byteCount else {
            throw .unreadableFile(path: file, reason: "it shrank while it was read")
        }
        return bytes
    }

    /// The path without symbolic links, or nil (with `errno` set) where there is no such file.
    private static func resolved(_ path: String) -> String? {
        guard let pointer = realpath(path, nil) else { return nil }
        defer { free(pointer) }
        return String(cString: pointer)
    }

    private static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }
}

/// Where a TensorProto says its external data lie: entries `location`, `offset` and `length`. Others, such as
/// `checksum`, are passed over, as the format asks.
private struct ExternalPlace {
    var location = ""
    var offset = 0
    var length: Int?

    init(_ entries: [OnnxStringStringEntryProto], what: String, path: String) throws(ModelError) {
        var seen = Set<String>()
        for entry in entries {
            guard seen.insert(entry.key).inserted else {
                throw .malformedFile(path: path, reason: "\(what) names the \(entry.key) of its external data twice")
            }
            switch entry.key {
            case "location": location = entry.value
            case "offset": offset = try Self.count(entry, what, path)
            case "length": length = try Self.count(entry, what, path)
            default: break
            }
        }
        guard !location.isEmpty else {
            throw .malformedFile(path: path, reason: "\(what) is stored as external data but names no file")
        }
        let parts = location.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isInside = parts.allSatisfy { !$0.isEmpty && !$0.elementsEqual("..".utf8) } && !location.utf8.contains(0)
        guard isInside, location.utf8.count <= 1_024 else {
            throw .unsupportedFile(
                path: path,
                reason: "\(what) is stored in '\(location.prefix(200))'; external data must lie in the model's folder, "
                    + "named by a relative path without '..'")
        }
    }

    private static func count(
        _ entry: OnnxStringStringEntryProto, _ what: String, _ path: String
    ) throws(ModelError) -> Int {
        guard let value = Int(entry.value), value >= 0 else {
            throw .malformedFile(
                path: path, reason: "\(what) states the \(entry.key) '\(entry.value.prefix(40))' of its external data")
        }
        return value
    }
}
