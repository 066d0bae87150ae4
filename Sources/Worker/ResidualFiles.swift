import Federation
import Ledger
import Tensors
import UpdateCodec

/// Error feedback on disk (Seide et al. 2014; Karimireddy et al. 2019): what compression left out of the last update is
/// added to this one, and what it leaves out now is written down. Nothing of the model's size is held.
struct ResidualFiles {
    /// Whether what is left out now is owed at all.
    let isWritten: Bool
    private let owed: SafetensorsFile?
    private let layout: TensorLayout
    private let writer: BlobWriter?
    private var squares = 0.0

    /// L2 norm of what was written.
    var norm: Double { squares.squareRoot() }

    init(blobs: BlobStore, layout: TensorLayout, owed: Digest?, isWritten: Bool) throws {
        self.isWritten = isWritten
        self.layout = layout
        self.owed = try owed.map { try SafetensorsFile(blobs.map($0), path: "residual \($0)") }
        guard isWritten else {
            writer = nil
            return
        }
        let writer = try blobs.makeWriter(.durable)
        try writer.append(
            Safetensors.header(
                of: layout.entries.map { (name: $0.name, elementType: ElementType.float32, shape: $0.shape) }))
        self.writer = writer
    }

    /// Adds what is owed to a tensor. A residual of another model (a new shape) is dropped.
    func addOwed(_ name: String, to tensor: inout Tensor) {
        guard let owed, owed.shape(of: name) == tensor.shape else { return }
        tensor.withMutableElements(as: Float.self) { _ = owed.add(name, from: 0, to: $0) }
    }

    /// Writes the next tensor of the layout.
    mutating func write(_ residual: Tensor) throws {
        squares += residual.withElements(as: Float.self) { $0.sumOfSquares }
        try writer?.append(residual.bytes)
    }

    /// The new residual, or nil when nothing is owed.
    func finish() throws -> Digest? { try writer?.finish().digest }
}
