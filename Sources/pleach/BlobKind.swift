import Compression
import Shell
import Tensors
import UpdateCodec

/// The form of a blob, told by its first bytes alone.
enum BlobKind: Sendable {
    /// Update, delta or scores.
    case container
    case packedGraph
    case calibration
    /// Second moments of layers.
    case moments
    /// How far a file's layers are from the float model's.
    case comparison
    /// What quantizing did to each layer of a file.
    case explanation
    /// What leaves a model.
    case structure
    /// A snapshot, a residual or sensitivities: its metadata say which.
    case safetensors
    case onnx

    /// For whoever brought something else.
    static let known =
        "updates, deltas, scores, packed graphs, ONNX models, snapshots, residuals and sensitivities (safetensors), calibration sets, "
        + "second moments, comparisons, explanations of files and structure changes"

    /// Fields that follow the first of an ONNX file, each as it begins: names of the producer, model's version,
    /// documentation, graph, opsets, metadata.
    private static let onnxFields: Set<UInt8> = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72]

    /// - Returns: nil for bytes of no known kind.
    init?(firstBytes: [UInt8]) {
        if firstBytes.starts(with: UpdateDescription.magic) {
            self = .container
        } else if firstBytes.starts(with: PackedBlob.magic) {
            self = .packedGraph
        } else if firstBytes.starts(with: CalibrationSet.magic) {
            self = .calibration
        } else if firstBytes.starts(with: MomentSet.magic) {
            self = .moments
        } else if firstBytes.starts(with: ComparisonSums.magic) {
            self = .comparison
        } else if firstBytes.starts(with: FileExplanation.magic) {
            self = .explanation
        } else if firstBytes.starts(with: Array("{\"blocks\"".utf8)) {
            self = .structure
        } else if firstBytes.count > 8, firstBytes[4..<8].allSatisfy({ $0 == 0 }), firstBytes[8] == UInt8(ascii: "{") {
            // A header of less than 4 GiB; the reader has its own limit.
            self = .safetensors
        } else if firstBytes.count > 2, firstBytes[0] == 0x08, (1...127).contains(firstBytes[1]),
            Self.onnxFields.contains(firstBytes[2])
        {
            // The version of ONNX itself stands first.
            self = .onnx
        } else {
            return nil
        }
    }

    /// - Throws: `TensorError` for a file that is no blob.
    init(_ file: MappedFile, path: String) throws(TensorError) {
        let first = file.withBytes { Array($0.prefix(16)) }
        guard let kind = BlobKind(firstBytes: first) else {
            throw .malformedFile(
                path: path, reason: "its first bytes are of no kind of blob known here: \(Self.known)")
        }
        self = kind
    }
}
