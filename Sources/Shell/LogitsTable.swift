import Federation
import Tensors
import UpdateCodec

/// How logits travel (`protocols/update-format.md`, "Logits"): one tensor, a row for each sample of the public set.
package enum LogitsTable {
    package static let tensorName = "logits"
    /// Magnitudes are cut to this, what the fleet's fold takes; a row's mean is taken off before.
    package static let largestMagnitude = FoldAccumulator.largestMagnitude

    /// - Throws: `TensorError` for numbers that make no shape.
    package static func layout(_ request: LogitsRequest) throws(TensorError) -> TensorLayout {
        TensorLayout([(name: tensorName, shape: try Shape([request.samples, request.classes]))])
    }

    /// No weight's mask says anything of logits; the epoch ties a container to its round.
    package static func masks(_ masks: MaskSet) -> MaskSet { MaskSet(epoch: masks.epoch) }

    /// How a worker writes its logits under a plan's scheme: as many bits, but not fewer than 8. No error feedback mends later
    /// what a coarser format takes from them.
    package static func scheme(_ plan: WireScheme) -> WireScheme {
        let values: ValueFormat =
            switch plan.values {
            case .float32, .float16, .bfloat16: plan.values
            default: .int8
            }
        return WireScheme(values: values, blockSize: 32, smallTensorElements: 0, errorFeedback: false)
    }

    /// Rows without their means, which a softmax does not see, cut to what a fold takes.
    package static func centered(_ logits: consuming Tensor) -> Tensor {
        guard logits.shape.rank == 2, logits.shape[1] > 0 else { return logits }
        let classes = logits.shape[1]
        logits.withMutableElements(as: Float.self) { values in
            for start in stride(from: 0, to: values.count, by: classes) {
                var sum = 0.0
                for place in start..<start + classes { sum += Double(values[place]) }
                let mean = sum / Double(classes)
                for place in start..<start + classes {
                    let value = Float(Double(values[place]) - mean)
                    // What is not finite stays so, and is refused by the encoder.
                    guard value.isFinite else { continue }
                    values[place] = min(largestMagnitude, max(-largestMagnitude, value))
                }
            }
        }
        return logits
    }

    /// What the others say: (mean - share own) / (1 - share), where `share` of the mean is one's own part, below 1.
    package static func leavingOut(_ own: Tensor, share: Double, of mean: consuming Tensor) -> Tensor {
        precondition(share >= 0 && share < 1 && own.shape == mean.shape, "a share of \(share) of \(mean.shape)")
        mean.withMutableElements(as: Float.self) { mean in
            own.withElements(as: Float.self) { own in
                for place in mean.indices {
                    mean[place] = Float((Double(mean[place]) - share * Double(own[place])) / (1 - share))
                }
            }
        }
        return mean
    }
}
