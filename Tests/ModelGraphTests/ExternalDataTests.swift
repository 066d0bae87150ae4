import Foundation
import ModelGraph
import Tensors
import Testing

@Suite("External data")
struct ExternalDataTests {
    private static let relu = Wire.node("Add", ["x", "w"], ["y"])

    /// A folder of its own with a data file of 32 bytes, a folder in it, and a file beside the folder.
    private static func inFolder(_ body: (String) throws -> Void) throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-\(UUID().uuidString)")
        let folder = root.appendingPathComponent("model")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("parts"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        let data = Data((0..<8).flatMap { value in withUnsafeBytes(of: Float(value).bitPattern) { Array($0) } })
        try data.write(to: folder.appendingPathComponent("w.bin"))
        try data.write(to: folder.appendingPathComponent("parts/w.bin"))
        try data.write(to: root.appendingPathComponent("secret.bin"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/out.bin", withDestinationPath: "../secret.bin")
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/in.bin", withDestinationPath: "parts/w.bin")
        try body(folder.path)
    }

    private static func file(_ entries: [(String, String)], dims: [Int64] = [3], type: Int64 = 1) -> [UInt8] {
        let fields = entries.flatMap { Wire.field(13, Wire.field(1, $0.0) + Wire.field(2, $0.1)) }
        return Wire.model(Wire.initializer("w", dims, type, fields + Wire.field(14, 1)) + relu)
    }

    private static func load(_ bytes: [UInt8], in folder: String) -> Result<Graph, ModelError> {
        do throws(ModelError) {
            let path = folder + "/m.onnx"
            do { try Data(bytes).write(to: URL(fileURLWithPath: path)) } catch { Issue.record(error) }
            return .success(try Graph.load(path: path))
        } catch { return .failure(error) }
    }

    private static func failure(_ bytes: [UInt8], in folder: String) -> String {
        if case .failure(let error) = load(bytes, in: folder) { return error.description }
        return "no failure"
    }

    @Test("data are read at their offset, from folders inside and links that stay inside")
    func reading() throws {
        try Self.inFolder { folder in
            for location in ["w.bin", "parts/w.bin", "./w.bin", "in.bin"] {
                let graph = try Self.load(
                    Self.file([("location", location), ("offset", "8"), ("length", "12"), ("checksum", "x")]),
                    in: folder
                ).get()
                #expect(graph.initializers["w"]?.floats == [2, 3, 4], "\(location)")
                #expect(try Graph.load(graph.serialized(), path: "single") == graph)
            }
            let whole = try Self.load(Self.file([("location", "w.bin")]), in: folder).get()
            #expect(whole.initializers["w"]?.floats == [0, 1, 2])
        }
    }

    @Test("nothing outside the model's folder is opened")
    func escaping() throws {
        try Self.inFolder { folder in
            for location in ["../secret.bin", "/etc/passwd", "parts/../../secret.bin", "parts//w.bin", "w.bin\0.txt"] {
                let failure = Self.failure(Self.file([("location", location)]), in: folder)
                #expect(failure.contains("external data must lie in the model's folder"), "\(location): \(failure)")
            }
            #expect(
                Self.failure(Self.file([("location", "out.bin")]), in: folder).contains("leaves the model's folder"))
            #expect(Self.failure(Self.file([("location", "parts")]), in: folder).contains("not a regular file"))
            #expect(mkfifo(folder + "/pipe", 0o600) == 0)
            #expect(Self.failure(Self.file([("location", "pipe")]), in: folder).contains("not a regular file"))
        }
    }

    @Test("missing files and impossible places are named")
    func mistakes() throws {
        try Self.inFolder { folder in
            func failure(_ entries: [(String, String)], dims: [Int64] = [3]) -> String {
                Self.failure(Self.file(entries, dims: dims), in: folder)
            }
            #expect(
                failure([("location", "gone.bin")])
                    == "cannot read \(folder)/gone.bin: No such file or directory; tensor 'w' of \(folder)/m.onnx is "
                    + "stored there")
            #expect(failure([]).contains("names no file"))
            #expect(
                failure([("location", "w.bin"), ("length", "8")]).contains(
                    "needs 12 bytes but its external data have 8"))
            #expect(
                failure([("location", "w.bin"), ("offset", "24")]).contains("at byte 24 of 'w.bin' and needs 12 bytes"))
            for offset in ["-1", "9223372036854775808", "1e3", ""] {
                #expect(
                    failure([("location", "w.bin"), ("offset", offset)]).contains("states the offset"), "\(offset)")
            }
            #expect(
                failure([("location", "w.bin"), ("offset", "9223372036854775807")]).contains("but that file has 32"))
            #expect(
                failure([("location", "w.bin"), ("location", "w.bin")]).contains("location of its external data twice"))
            #expect(failure([("location", "w.bin")], dims: [1 << 30]).contains("which one ONNX file can hold"))
        }
    }

    @Test("bytes without a folder have no external data")
    func refusedFromBytes() {
        #expect(
            loadFailure(Self.file([("location", "w.bin")]))?.contains("save the model as a single file") == true)
    }
}
