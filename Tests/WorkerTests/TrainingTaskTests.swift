import CImages
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// Training tasks on real images, some of them truncated.
struct TrainingTaskTests {
    /// A folder of 120 training images in two classes, of which the first few are cut short, and a store with a model.
    private final class Bench {
        let folder: String
        let blobs: BlobStore
        let runner: TaskRunner
        let reference: SnapshotReference

        init(damaged: Int) throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("images-\(UUID().uuidString)").path
            for split in ["train", "test"] {
                for index in 0..<120 {
                    let path = "\(folder)/\(split)/\(index % 2 == 0 ? "dark" : "light")"
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                    var bytes = Self.image(light: index % 2 == 1, seed: UInt64(index))
                    if split == "train", index < damaged { bytes.removeLast(bytes.count / 3) }
                    try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(1000 + index).jpg"))
                }
            }
            blobs = try BlobStore(directory: folder + "/blobs")
            runner = TaskRunner(
                blobs: blobs,
                data: try WorkerData(spec: DataSpec(parsing: "folder:\(folder)?flip=true", environment: [:])))
            let model = try ModelBuilder.build(
                architecture: "mlp", inputShape: [3, 8, 8], classes: 2, width: 6, seed: 3)
            reference = try blobs.opening(model)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        private static func image(light: Bool, seed: UInt64) -> [UInt8] {
            var random = SeededGenerator(seed: seed)
            let pixels = (0..<3 * 8 * 8).map { _ in UInt8((light ? 150 : 30) + random.index(below: 60)) }
            var bytes = [UInt8](repeating: 0, count: 8192)
            let count = ci_encode(Int32(CI_JPEG), pixels, 8, 8, 3, 95, &bytes, bytes.count)
            return Array(bytes[..<Int(count)])
        }

        func run(
            _ recipe: TrainingRecipe, residual: Federation.Digest? = nil
        ) throws -> (submission: Submission, residual: Federation.Digest?) {
            let offer = TaskOffer(
                round: 0, leaseSeconds: 10, seed: 5, snapshot: reference,
                scheme: WireScheme(values: .float32, smallValues: .float32), acceptedRounds: 0,
                work: .train(recipe, teacher: nil))
            return try runner.run(offer, residual: residual, progress: { _ in }, isCancelled: { false })
        }
    }

    private static let recipe = TrainingRecipe(
        epochs: 2, batch: 16, accumulate: 2, learningRate: 0.1, schedule: RateSchedule(.oneCycle, warmup: 0.1),
        momentum: 0, decay: .weights, labelSmoothing: 0.1, clipNorm: 1, correction: .scaffold)

    @Test func aTaskThatIsRunAgainGivesTheSameBytes() throws {
        let bench = try Bench(damaged: 0)
        let first = try bench.run(Self.recipe)
        let again = try bench.run(Self.recipe)
        #expect(first.submission.blob == again.submission.blob && first.residual == again.residual)
        let metrics = first.submission.metrics
        #expect(metrics.measured == 240 && metrics.damaged == 0 && metrics.samples == 120)
        // 8 batches an epoch, two to a step: 8 steps, whose rates the engine's schedule gives.
        let schedule = LearningRateSchedule(Self.recipe.schedule, steps: 8)
        #expect(abs(metrics.reach - (0..<8).reduce(0) { $0 + schedule.rate(at: $1, of: 8, peak: 0.1) }) < 1e-12)
        // A lossless wire owes nothing; what is kept is the control variate.
        let kept = try Safetensors.parse(bench.blobs.get(#require(first.residual)), path: "kept").tensors
        #expect(!kept.names.isEmpty && kept.names.allSatisfy { $0.hasPrefix("control:") })
        #expect(kept.norm > 0)
    }

    @Test(arguments: [
        TrainingRecipe(optimizer: .lamb, schedule: .cosine, weightDecay: 0.1),
        TrainingRecipe(optimizer: .adamw, learningRate: 0.01, clipValue: 0.1, precision: .bfloat16),
        TrainingRecipe(nesterov: true, proximal: 0.1), TrainingRecipe(batch: 8, loss: .crossEntropy),
    ])
    func everyRecipeTrains(recipe: TrainingRecipe) throws {
        let bench = try Bench(damaged: 0)
        var recipe = recipe
        recipe.batch = 16
        let loss = { (metrics: TaskMetrics) in metrics.lossSum / Double(metrics.measured) }
        let short = loss(try bench.run(recipe).submission.metrics)
        recipe.epochs = 10
        let long = loss(try bench.run(recipe).submission.metrics)
        #expect(long < short, "\(long) after ten epochs, \(short) after one")
    }

    @Test func oneDamagedImageInAHundredIsCountedAndLeftOut() throws {
        let bench = try Bench(damaged: 1)
        let metrics = try bench.run(Self.recipe).submission.metrics
        #expect(metrics.damaged == 2 && metrics.measured == 238, "once an epoch")
    }

    @Test func smoothingIsRefusedWhereNothingIsSmoothed() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("values-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["x", "y"] {
            try Npy.write(Tensor((0..<20).map { Float($0) }, shape: [20, 1]), path: "\(folder)/\(name).npy")
        }
        let data = try Dataset.load(DataSpec(parsing: "npy:\(folder)", environment: [:]))
        #expect {
            try Lessons(TrainingRecipe(labelSmoothing: 0.1), teaching: nil, data: data)
        } throws: { error in
            "\(error)".contains("labelSmoothing needs a cross-entropy over classes")
        }
        #expect(try Lessons(TrainingRecipe(), teaching: nil, data: data).loss == .meanSquaredError)
    }

    @Test func moreThanThatFailsTheTaskWithAReason() throws {
        let bench = try Bench(damaged: 4)
        #expect {
            try bench.run(Self.recipe)
        } throws: { error in
            "\(error)".contains("damaged") && "\(error)".contains("more than 1 %")
        }
    }
}
