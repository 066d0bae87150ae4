import Engine
import Federation
import Ledger
import Tensors

/// The samples that all workers of an ensemble have, and the name that shows it.
struct PublicSet: Sendable {
    let data: Dataset
    let name: PublicSetName

    /// Loads and hashes the set; of its samples no more than a few hundred are in memory at once where they are in files.
    /// - Throws: `DataError`; `WorkerError.data` for a set without classes, or with damaged samples: everybody must have the
    ///   same ones.
    init(spec: DataSpec) throws {
        data = try Dataset.load(spec)
        guard data.targets == .classes else {
            throw WorkerError.data(
                "--public \(spec): an ensemble learns classes; give a set with class labels (they may all be 0)")
        }
        name = PublicSetName(digest: try Self.digest(of: data), samples: data.count)
    }

    private static let samplesAtOnce = 256

    /// SHA-256 over type and shape of each input, then each sample's inputs in order, as a model gets them.
    private static func digest(of data: Dataset) throws -> Federation.Digest {
        var stream = DigestStream()
        for input in data.inputs {
            // The name of the only input does not matter.
            let name = data.inputs.count > 1 ? "\(input.name) " : ""
            let extents = input.sampleShape.dimensions.map(String.init).joined(separator: "x")
            stream.append(Array("\(name)\(input.elementType) \(extents)\n".utf8))
        }
        for start in stride(from: 0, to: data.count, by: samplesAtOnce) {
            let loaded = try data.samples(at: start..<min(start + samplesAtOnce, data.count))
            if let damaged = loaded.damaged.first {
                throw WorkerError.data(
                    "--public \(data.spec): \(damaged.name): \(damaged.reason); all workers need the same sound samples"
                )
            }
            let tensors = data.inputs.compactMap { loaded.batch.inputs[$0.name] }
            for sample in loaded.indices.indices {
                for tensor in tensors {
                    let size = tensor.bytes.count / max(1, loaded.indices.count)
                    tensor.bytes.withUnsafeBytes { bytes in
                        stream.append(UnsafeRawBufferPointer(rebasing: bytes[sample * size..<(sample + 1) * size]))
                    }
                }
            }
        }
        return stream.finish()
    }
}
