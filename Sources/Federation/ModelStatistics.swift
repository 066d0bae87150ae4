import Tensors

/// A model's running statistics (of BatchNormalization): parameters that training measures instead of learning.
///
/// A mean of variances is no variance: what lies between the workers' means is missing from it. Pooled by sample count,
/// mean = Σ n_k mean_k / N and variance = Σ n_k (variance_k + (mean_k − m)²) / N − (mean − m)² for any m (Chan, Golub,
/// LeVeque 1983, section 2). With m the running mean of the snapshot that all start from, both sums are means of what
/// workers send, so they fold like weights, in any order; and m near the means keeps the difference from cancelling.
///
/// So a worker sends variance_k − variance + (mean_k − m)² in the variance's place (`spread`), and the coordinator takes
/// (mean − m)² off again (`pool`). Statistics travel as float32, all of them, whatever the wire rules say.
public struct ModelStatistics: Sendable, Equatable {
    /// All of them: none is decayed, pruned, clipped or given to the server's optimizer.
    public let names: Set<String>
    private let means: [String: String]

    /// - Parameters:
    ///   - names: of all running statistics.
    ///   - pairs: which of them belong together. A variance that stands in several pairs is pooled with the first mean.
    public init(names: [String] = [], pairs: [(mean: String, variance: String)] = []) {
        self.names = Set(names)
        means = Dictionary(pairs.map { ($0.variance, $0.mean) }, uniquingKeysWith: { first, _ in first })
    }

    /// The mean that belongs to a variance; nil for everything that is none.
    public func mean(of variance: String) -> String? { means[variance] }

    /// A worker's part: adds the square of what its mean moved to what its variance changed by.
    public static func spread(_ change: inout Tensor, meanChange: Tensor) {
        guard change.elementCount == meanChange.elementCount else { return }
        change.withMutableElements(as: Float.self) { change in
            meanChange.withElements(as: Float.self) { moved in
                for index in change.indices { change[index] += moved[index] * moved[index] }
            }
        }
    }

    /// The coordinator's part for one element: what the variance of the snapshot changes by. Old variance plus result is never
    /// negative: a rounded difference to −old is at least −old.
    public static func pool(_ change: Float, meanChange: Float, variance: Float) -> Float {
        let pooled = variance + change - meanChange * meanChange
        return (pooled > 0 ? pooled : 0) - variance
    }
}
