import Foundation
import Testing

/// The design's table of imports (ARCHITECTURE.md). Any import not listed is a fault: a lower target never sees a
/// higher one.
private let allowed: [String: Set<String>] = [
    "Tensors": ["CZlib"],
    "UpdateCodec": ["Tensors", "CKernels", "CLZ4"],
    "ModelGraph": ["Tensors", "SwiftProtobuf"],
    "Engine": ["Tensors", "ModelGraph", "CTorch", "CImages"],
    "Compression": ["Tensors", "ModelGraph", "Engine"],
    "Federation": ["Tensors", "UpdateCodec", "SwiftProtobuf", "Yams"],
    "Transport": ["CZeroMQ"],
    "Ledger": ["Tensors", "Federation", "GRDB", "Crypto"],
    "Monitor": ["UpdateCodec", "Federation", "Logging", "NIOCore", "NIOPosix", "NIOHTTP1"],
    "Shell": ["Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger"],
    "Coordinator": [
        "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger", "Monitor",
        "Shell",
    ],
    "Worker": [
        "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger", "Monitor",
        "Shell",
    ],
]

/// The toolchain's own modules.
private let system: Set<String> = [
    "Foundation", "FoundationEssentials", "FoundationNetworking", "Synchronization", "Dispatch", "Glibc", "Musl",
    "Darwin", "Swift",
]

/// Machines are pure: these targets may not reach clocks, files or threads through Foundation either, but for its
/// plain values (`Data`, `cos`).
private let pure = ["Federation"]

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

private func sources(of target: String) throws -> [URL] {
    let folder = root.appendingPathComponent("Sources/\(target)")
    guard let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else { return [] }
    return files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
}

@Test(arguments: allowed.keys.sorted())
func everyImportIsInTheTable(target: String) throws {
    let files = try sources(of: target)
    #expect(!files.isEmpty, "target \(target) has no sources")
    let known = (allowed[target] ?? []).union(system)
    for file in files {
        var isLiteral = false
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            // A text of several lines may hold another language.
            if !line.ranges(of: "\"\"\"").count.isMultiple(of: 2) { isLiteral.toggle() }
            if isLiteral { continue }
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"),
                words.prefix(index).allSatisfy({ $0.hasPrefix("@") || modifiers.contains($0) }),
                index + 1 < words.count
            else { continue }
            var name = String(words[index + 1])
            if kinds.contains(name), index + 2 < words.count { name = String(words[index + 2]) }
            let module = String(name.split(separator: ".").first ?? "")
            #expect(known.contains(module), "\(target) may not import \(module) (\(file.lastPathComponent))")
        }
    }
}

private let modifiers: Set<Substring> = ["public", "internal", "private", "package", "fileprivate"]
private let kinds: Set<String> = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]

@Test(arguments: pure)
func machinesHaveNoClockNoRandomnessNoFiles(target: String) throws {
    let forbidden = [
        "Date()", "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator", ".random(in:", "FileManager",
        "FileHandle", "Thread.", "DispatchQueue", "Task {", "Task.", "ProcessInfo",
    ]
    for file in try sources(of: target) where !file.path.contains("/Generated/") {
        let text = try String(contentsOf: file, encoding: .utf8)
        for word in forbidden {
            #expect(!text.contains(word), "\(file.lastPathComponent) uses \(word): machines are pure")
        }
    }
}
