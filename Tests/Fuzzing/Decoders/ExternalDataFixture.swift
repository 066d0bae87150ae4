import Foundation
import ModelGraph
import Tensors

/// Models whose tensors lie in other files, and the folder with those files. Mutants name other places, lengths and files;
/// none may reach the file above the folder.
enum ExternalDataFixture {
    /// A folder of this process with a file of 64 bytes, a link to it, and a link that leaves the folder.
    static let folder: String = {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("pleach-fuzz-\(ProcessInfo.processInfo.processIdentifier)").path
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        FileManager.default.createFile(atPath: folder + "/w.bin", contents: Data(repeating: 1, count: 64))
        try? FileManager.default.createSymbolicLink(atPath: folder + "/in.bin", withDestinationPath: "w.bin")
        try? FileManager.default.createSymbolicLink(atPath: folder + "/out.bin", withDestinationPath: "/etc/hostname")
        return folder
    }()

    static let seeds: [[UInt8]] = [
        [("location", "w.bin"), ("offset", "16"), ("length", "16")], [("location", "in.bin")],
        [("location", "out.bin"), ("length", "16")], [("location", "../w.bin"), ("offset", "9223372036854775807")],
    ].map(model)

    /// y = x + w, with w of shape [2, 2] stored outside.
    private static func model(_ entries: [(key: String, value: String)]) -> [UInt8] {
        let data = entries.flatMap { field(13, field(1, Array($0.key.utf8)) + field(2, Array($0.value.utf8))) }
        let tensor = [8, 2, 8, 2, 16, 1] + field(8, [UInt8(ascii: "w")]) + data + [14 << 3, 1]
        let node = field(1, [UInt8(ascii: "x")]) + field(1, [UInt8(ascii: "w")]) + field(2, [UInt8(ascii: "y")])
        let shape = field(2, field(1, field(2, Array("batch".utf8))) + field(1, [8, 2]))
        let type = field(2, field(1, [8, 1] + shape))
        let graph =
            field(1, node + field(4, Array("Add".utf8))) + field(2, [UInt8(ascii: "g")]) + field(5, tensor)
            + field(11, field(1, [UInt8(ascii: "x")]) + type) + field(12, field(1, [UInt8(ascii: "y")]) + type)
        return [8, 8] + field(7, graph) + field(8, [16, 17])
    }

    /// A length-delimited field of fewer than 128 bytes, or of fewer than 2^14.
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        let length =
            bytes.count < 128 ? [UInt8(bytes.count)] : [UInt8(bytes.count & 0x7f) | 0x80, UInt8(bytes.count >> 7)]
        return [number << 3 | 2] + length + bytes
    }
}
