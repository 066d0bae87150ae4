import Tensors

/// A file of token ids, cut into windows of equal length one after another; what does not fill a window is left out.
struct TokenWindows: Sendable {
    /// What the loss does not look at: PyTorch's `ignore_index`.
    static let ignoredTarget: Int64 = -100
    /// Share of tokens that are to be predicted with `objective=masked` (Devlin et al. 2019, section 3.1).
    static let maskedShare: Float = 0.15
    static let defaultLength = 128

    let length: Int
    let objective: DataSpec.TokenObjective
    let maskToken: Int64
    let vocabulary: Int
    let count: Int
    private let tokens: TokenArray

    /// Opens the file and reads all of it once, in pieces: every id must be in the vocabulary.
    init(_ spec: DataSpec) throws(DataError) {
        do throws(TensorError) { tokens = try TokenArray(path: spec.path, format: spec.tokenFormat) } catch {
            throw .file(error)
        }
        length = spec.length ?? Self.defaultLength
        objective = spec.objective ?? .next
        maskToken = Int64(spec.maskToken ?? 0)
        // The last target stands one place behind its window.
        count = (objective == .next ? max(0, tokens.count - 1) : tokens.count) / length
        guard count > 0 else {
            throw .unusableArray(
                place: spec.path, reason: "\(tokens.count) tokens do not fill a window of length=\(length)")
        }
        let largest = try Self.largestToken(tokens, place: spec.path, vocabulary: spec.vocabulary)
        vocabulary = spec.vocabulary ?? max(Int(largest), spec.maskToken ?? 0) + 1
    }

    /// One window's inputs and targets, `length` each.
    /// - Parameter generator: chooses what is masked; not used with `objective=next`.
    func read(
        _ window: Int, using generator: inout SeededGenerator
    ) throws(SampleFault) -> (inputs: [Int64], targets: [Int64]) {
        let start = window * length
        let ids: [Int64]
        do throws(TensorError) {
            ids = try tokens.ids(start..<start + length + (objective == .next ? 1 : 0))
        } catch { throw SampleFault(name: "window \(window)", reason: error.description) }
        switch objective {
        case .next: return (Array(ids.dropLast()), Array(ids.dropFirst()))
        case .masked: return masked(ids, using: &generator)
        }
    }

    /// Of the tokens to be predicted 80 % are hidden, 10 % replaced by any token, 10 % shown. At least one is to be
    /// predicted, so that every window has a loss.
    private func masked(
        _ ids: [Int64], using generator: inout SeededGenerator
    ) -> (inputs: [Int64], targets: [Int64]) {
        var isChosen = ids.map { _ in generator.uniform() < Self.maskedShare }
        if !isChosen.contains(true) { isChosen[generator.index(below: ids.count)] = true }
        var inputs = ids
        var targets = [Int64](repeating: Self.ignoredTarget, count: ids.count)
        for place in ids.indices where isChosen[place] {
            targets[place] = ids[place]
            switch generator.uniform() {
            case ..<0.8: inputs[place] = maskToken
            case ..<0.9: inputs[place] = Int64(generator.index(below: vocabulary))
            default: break
            }
        }
        return (inputs, targets)
    }

    private static func largestToken(
        _ tokens: TokenArray, place: String, vocabulary: Int?
    ) throws(DataError) -> Int64 {
        let limit = vocabulary ?? DataSpec.vocabularyLimit
        let piece = 1 << 18
        var largest: Int64 = 0
        for start in stride(from: 0, to: tokens.count, by: piece) {
            let ids: [Int64]
            do throws(TensorError) { ids = try tokens.ids(start..<min(tokens.count, start + piece)) } catch {
                throw .file(error)
            }
            if let bad = ids.firstIndex(where: { $0 < 0 || $0 >= limit }) {
                throw .unusableArray(
                    place: place,
                    reason: "token \(start + bad) is \(ids[bad]), outside "
                        + (vocabulary == nil ? "0 to \(limit - 1)" : "vocabulary=\(limit)"))
            }
            largest = max(largest, ids.max() ?? 0)
        }
        return largest
    }
}
