import Compression
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec
import Worker

/// A blob explained: which it is, and what its kind has to tell.
struct BlobReport: Encodable {
    /// What a kind has to tell, in both forms.
    struct Content {
        var kind: String
        /// Its keys stand at the top level.
        var facts: any Encodable
        var lines: [String]
    }

    let digest: Digest
    /// Whether the file's name is its digest; nil when the name is none.
    let nameMatches: Bool?
    let bytes: Int
    let content: Content

    /// - Throws: the error of the kind's own decoder, or `TensorError`.
    init(path: String) throws {
        guard FileBytes.exists(path) else {
            let reason = FileBytes.isFolder(path) ? "it is a folder" : "no such file"
            throw TensorError.unreadableFile(path: path, reason: reason)
        }
        let file: MappedFile
        do { file = try MappedFile(path: path) } catch {
            throw TensorError.unreadableFile(path: path, reason: error.reason)
        }
        content = try Content(file, path: path)
        digest = Digest(hashing: file)
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        nameMatches = Digest(hex: name).map { [digest] in $0 == digest }
        bytes = file.byteCount
    }

    private enum Keys: String, CodingKey { case kind, digest, bytes, nameMatches }

    func encode(to encoder: any Encoder) throws {
        try content.facts.encode(to: encoder)
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(content.kind, forKey: .kind)
        try container.encode(digest.hex, forKey: .digest)
        try container.encode(bytes, forKey: .bytes)
        try container.encodeIfPresent(nameMatches, forKey: .nameMatches)
    }

    /// For people.
    var lines: [String] {
        var lines = ["SHA-256 \(digest.hex)"]
        switch nameMatches {
        case true?: lines.append("the file's name is its digest")
        case false?: lines.append("the file's name is NOT its digest: it is damaged or misnamed")
        case nil: break
        }
        return lines + content.lines
    }
}

extension BlobReport.Content {
    fileprivate init(_ file: MappedFile, path: String) throws {
        switch try BlobKind(file, path: path) {
        case .container: self.init(try UpdateDescription(describing: file))
        case .packedGraph:
            let limit = ModelLimits.graphByteCount
            let blob = try FileBytes.read(path: path, byteLimit: limit + PackedBlobDescription.overheadByteLimit)
            let packed = try PackedBlobDescription(describing: blob, byteLimit: limit)
            let graph = try Graph.load(packed.content, path: path)
            self.init(PackedGraphFacts(packed, try graph.summary(fileBytes: packed.content.count)))
        case .onnx: self.init(try Graph.load(path: path, externalData: .refused).summary(fileBytes: file.byteCount))
        case .calibration:
            let bytes = try FileBytes.read(path: path, byteLimit: CalibrationDescription.byteLimit)
            self.init(try CalibrationDescription(describing: bytes), byteCount: file.byteCount)
        case .moments:
            let bytes = try FileBytes.read(path: path, byteLimit: MomentSet.byteLimit)
            self.init(try MomentDescription(describing: bytes), byteCount: file.byteCount)
        case .comparison:
            let bytes = try FileBytes.read(path: path, byteLimit: ComparisonDescription.byteLimit)
            self.init(try ComparisonDescription(describing: bytes), byteCount: file.byteCount)
        case .explanation:
            let bytes = try FileBytes.read(path: path, byteLimit: FileExplanation.byteLimit)
            self.init(try FileExplanation(parsing: bytes), byteCount: file.byteCount)
        case .structure:
            let bytes = try FileBytes.read(path: path, byteLimit: StructureChange.byteLimit)
            self.init(try StructureChange(parsing: bytes), byteCount: file.byteCount)
        case .safetensors:
            let tensors = try SafetensorsFile(file, path: path)
            if Snapshot.isMeant(by: tensors.metadata) {
                let description = try SnapshotDescription(describing: SnapshotFile(file, path: path))
                self.init(description, byteCount: file.byteCount)
            } else if SensitivityBlob.isMeant(by: tensors.metadata) {
                let bytes = try FileBytes.read(path: path, byteLimit: SensitivityBlob.byteLimit)
                self.init(try SensitivityBlob.parse(bytes, path: path), byteCount: file.byteCount)
            } else {
                self.init(try ResidualDescription(describing: tensors), byteCount: file.byteCount)
            }
        }
    }
}

/// A packed graph: how it travels, and in brief what is in it.
struct PackedGraphFacts: Encodable {
    let bytes: Int
    let packing: String
    let unpackedBytes: Int
    let parameters: Int
    let macs: Int?
    let opset: Int64
    let operators: [String: Int]
    let inputs: [ModelSummary.Value]
    let outputs: [ModelSummary.Value]

    init(_ packed: PackedBlobDescription, _ summary: ModelSummary) {
        bytes = packed.bytes
        packing = packed.packing
        unpackedBytes = packed.content.count
        parameters = summary.parameters
        macs = summary.macs
        opset = summary.opset
        operators = summary.operators
        inputs = summary.inputs
        outputs = summary.outputs
    }
}
