import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor
import Tensors
import UpdateCodec

/// Time and memory of one round's arithmetic in a coordinator: fold stored contributions, publish the next snapshot.
public enum PublishBenchmark {
    public struct Row: Sendable, Codable {
        public var wire: String
        public var parameters: Int
        public var contributions: Int
        /// Distinct contribution blobs; as many as there are contributions, or the figures mean nothing.
        public var blobs: Int
        public var contributionBytes: Int
        /// Hash, check and fold all contributions, read from disk.
        public var foldSeconds: Double
        /// Mean, new snapshot, delta and residual, all synced.
        public var publishSeconds: Double
        /// Of the process before the round, and the most during it.
        public var residentBytes: Int
        public var peakBytes: Int
    }

    /// - Parameter directory: a folder for the benchmark's own state; created, not removed.
    public static func run(width: Int, contributions: Int, wire: String, directory: String) throws -> Row {
        let scheme = "{values: \(wire), small: \(wire == "float32" ? "float32" : "float16")}"
        let text = """
            model: {architecture: mlp}
            data: "synthetic:digits"
            fleet: {workers: \(contributions)}
            wire: {up: \(scheme), down: \(scheme)}
            stages: [train]
            """
        EngineRuntime.returnFreedMemory()
        let plan = try Plan.parse(text, path: "benchmark", environment: [:])
        let (base, results, blobs) = try prepare(plan, width, contributions, directory)
        let numerics = try CoordinatorNumerics(plan: plan, blobs: blobs, directory: directory, facts: base)
        EngineRuntime.trimMemory()
        ProcessMemory.releaseUnusedFilePages()
        // From here on the kernel counts the peak anew.
        try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        let resident = ProcessMemory.residentBytes
        let clock = ContinuousClock()
        var start = clock.now
        try numerics.openFold(.average(), base: base, restoring: [])
        for facts in results {
            guard case .folded = try numerics.examine(facts) else {
                throw CoordinatorError.state("the benchmark's own update was refused")
            }
        }
        let foldSeconds = (clock.now - start) / .seconds(1)
        start = clock.now
        _ = try numerics.compute(.fold(.average(), round: 0, contributions: results, base: base))
        return Row(
            wire: wire, parameters: results[0].submission.metrics.samples, contributions: contributions,
            blobs: Set(results.compactMap { $0.submission.blob?.digest }).count,
            contributionBytes: results[0].submission.blob?.byteCount ?? 0, foldSeconds: foldSeconds,
            publishSeconds: (clock.now - start) / .seconds(1), residentBytes: resident,
            peakBytes: ProcessMemory.peakBytes)
    }

    /// A snapshot and its contributions on disk.
    private static func prepare(
        _ plan: Plan, _ width: Int, _ contributions: Int, _ directory: String
    ) throws -> (SnapshotFacts, [ContributionFacts], BlobStore) {
        let blobs = try BlobStore(directory: directory)
        let graph = try ModelBuilder.build(
            architecture: "mlp", inputShape: nil, classes: nil, width: width, seed: 1)
        let skeleton = PackedBlob.pack(graph.serializedSkeleton())
        let graphReference = BlobReference(digest: try blobs.put(skeleton), byteCount: skeleton.count)
        let snapshot = Snapshot(graph: graphReference.digest, parameters: graph.parameterTensors())
        let reference = try blobs.write(.durable) { writer in try snapshot.serialize { try writer.append($0) } }
        let base = SnapshotFacts(
            version: 0, snapshot: reference, graph: graphReference, maskEpoch: 0, sparsity: 0,
            size: ModelSize(of: graph))
        let results = try (0..<contributions).map { number in
            // Another model each, or equal bytes would be one blob, hashed once and read from warm caches.
            let trained = try ModelBuilder.build(
                architecture: "mlp", inputShape: nil, classes: nil, width: width, seed: UInt64(2 + number))
            let encoded = try UpdateEncoder.encode(
                trained.parameterTensors(),
                header: UpdateHeader(kind: .update, base: reference.digest.bytes, maskEpoch: 0), scheme: plan.wire.up,
                seed: UInt64(number))
            let blob = BlobReference(digest: try blobs.put(encoded.bytes), byteCount: encoded.bytes.count)
            let metrics = TaskMetrics(samples: snapshot.layout.elementCount)
            return ContributionFacts(
                round: 0, worker: "w\(number)", submission: Submission(round: 0, blob: blob, metrics: metrics),
                base: reference.digest, weight: UInt32(1 + number))
        }
        return (base, results, try BlobStore(directory: directory))
    }
}
