import CKernels
import Tensors

/// A record just written, read back the way every receiver reads it: so what the sender keeps as owed is, to the bit, what
/// receivers did not get.
struct WrittenRecord {
    private let runs: RecordRuns
    private let body: ByteRegion
    private let force: WorkForce
    private let positions: PositionIndex

    /// - Parameter bytes: with the record from `start` to the end, as that of a tensor without a mask: its indices are ranks.
    init(_ bytes: [UInt8], from start: Int, elements: Int, previous: Int, force: WorkForce) {
        body = ByteRegion(bytes)
        self.force = force
        var reader = ByteReader(body, offset: start)
        do throws(CodecError) {
            let record = try TensorRecord(&reader, after: previous, limits: .unlimited) {
                (_, _, _) throws(CodecError) in
            }
            runs = RecordRuns(record: record, mask: nil, tensorName: "")
            positions = try runs.indexPositions(in: body)
        } catch {
            preconditionFailure("the encoder wrote what cannot be read: \(error)")
        }
    }

    /// What receivers see of `alive`, 0 where nothing is sent.
    func decoded(like alive: Tensor) -> Tensor {
        if runs.record.format == .float32, runs.record.positions == .dense { return alive }
        let isDense = runs.record.positions == .dense
        return Tensor(float32: alive.shape) { target in
            if !isDense { target.initialize(repeating: 0) }
            let target = SharedPointer(target.baseAddress)
            forEachRun { run in
                if let target = target.pointer { run.copy(to: target) }
            }
        }
    }

    /// Subtracts in place what receivers see.
    func subtract(from alive: inout Tensor) {
        alive.withMutableElements(as: Float.self) { alive in
            let target = SharedPointer(alive.baseAddress)
            forEachRun { run in
                guard let target = target.pointer else { return }
                if let indices = run.indices {
                    for place in run.values.indices { target[Int(indices[place])] -= run.values[place] }
                } else {
                    let place = target + run.start
                    pleach_subtract(place, run.values.baseAddress, place, run.values.count)
                }
            }
        }
    }

    private func forEachRun(_ visit: (ValueRun) -> Void) {
        do throws(CodecError) {
            try runs.forEach(in: body, positions, force: force, visit)
        } catch {
            preconditionFailure("the encoder wrote what cannot be read: \(error)")
        }
    }
}
