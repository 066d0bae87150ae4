import Tensors
import Testing
import UpdateCodec

@testable import Federation

/// Tasks for a quantized file on their way to a worker.
struct QuantizeMessageTests {
    private static let blob = BlobReference(digest: CoordinatorMachineTests.digest(6), byteCount: 70)
    private static let scope = QuantizationScope(target: .x86NoVNNI, equalizes: true, excluded: ["conv1", "é"])

    private static func offer(_ work: TaskWork) -> TaskOffer {
        TaskOffer(
            round: 1, leaseSeconds: 30, seed: 2,
            snapshot: SnapshotReference(version: 0, snapshot: blob, graph: blob, maskEpoch: 0), scheme: WireScheme(),
            acceptedRounds: 0, work: work)
    }

    private static func request(_ weights: WeightRules, bits: [Int] = [2, 8]) -> SensitivityRequest {
        SensitivityRequest(samples: 5, scope: scope, weights: weights, bits: bits)
    }

    private static let works: [TaskWork] =
        ExportTarget.allCases.filter(\.hasIntegerWeights).map { .calibrate(samples: 7, QuantizationScope(target: $0)) }
        + [
            .calibrate(samples: 7, scope), .inputMoments(samples: 1 << 40, scope),
            .compare(samples: 3, scope, compact: blob), .evaluate(samples: nil, compact: blob, loss: .binary),
            .sensitivity(request(WeightRules(), bits: [2, 3, 4, 5, 6, 7, 8])),
            .sensitivity(
                request(WeightRules(bits: 3, sharing: .block(64), range: .minMax, isSymmetric: false))),
            .sensitivity(request(WeightRules(sharing: .tensor, range: .leastSquares, hasPowerOfTwoScales: true))),
        ]
        + LevelsKind.allCases.map { .sensitivity(request(WeightRules(bits: 2, levels: $0, sharing: .channel))) }
        + StatisticsMode.allCases.map { .train(TrainingRecipe(statistics: $0), teacher: nil) }

    @Test(arguments: works) func everyTaskSurvivesTheWire(work: TaskWork) throws {
        let message = CoordinatorMessage.task(Self.offer(work))
        #expect(try CoordinatorMessage(decoding: message.encoded()) == message)
    }

    @Test func tasksNameTheFileAndWhatTheyYield() {
        let compare = TaskWork.compare(samples: 3, Self.scope, compact: Self.blob)
        let evaluate = TaskWork.evaluate(samples: nil, compact: Self.blob)
        #expect(compare.blobs == [Self.blob] && evaluate.blobs == [Self.blob])
        #expect(TaskWork.evaluate(samples: nil, compact: nil).blobs.isEmpty)
        let others: [TaskWork] = [
            .calibrate(samples: 1, Self.scope), .inputMoments(samples: 1, Self.scope),
            .sensitivity(Self.request(WeightRules())),
        ]
        #expect(others.allSatisfy { $0.blobs.isEmpty && $0.snapshots.isEmpty && $0.yieldsBlob })
        #expect(others.map(\.kind) == ["calibrate", "moments", "sensitivity"])
        #expect(compare.kind == "compare" && compare.yieldsBlob && !evaluate.yieldsBlob)
    }

    private static func refuses(
        _ work: TaskWork, _ lie: (inout Pleach_V1_TaskOffer) -> Void
    ) throws -> MessageError? {
        var message = try Pleach_V1_CoordinatorMessage(
            serializedBytes: CoordinatorMessage.task(offer(work)).encoded())
        lie(&message.task)
        let bytes: [UInt8] = try message.serializedBytes()
        do throws(MessageError) {
            _ = try CoordinatorMessage(decoding: bytes)
            return nil
        } catch { return error }
    }

    @Test(
        arguments: [
            { $0.target = "" }, { $0.target = "float32" }, { $0.target = "bfloat16" }, { $0.target = "x87" },
            { $0.target = String(repeating: "x", count: 1 << 16) },
            { $0.excluded = Array(repeating: "n", count: 257) },
            { $0.excluded = [String(repeating: "n", count: 1025)] },
        ] as [@Sendable (inout Pleach_V1_QuantizationScope) -> Void])
    func aScopeThatLiesIsRefused(lie: @Sendable (inout Pleach_V1_QuantizationScope) -> Void) throws {
        #expect(try Self.refuses(.calibrate(samples: 1, Self.scope)) { lie(&$0.calibrate.scope) } != nil)
        #expect(try Self.refuses(.inputMoments(samples: 1, Self.scope)) { lie(&$0.inputMoments.scope) } != nil)
        #expect(
            try Self.refuses(.sensitivity(Self.request(WeightRules()))) { lie(&$0.sensitivity.scope) } != nil)
        #expect(
            try Self.refuses(.compare(samples: 1, Self.scope, compact: Self.blob)) { lie(&$0.compare.scope) } != nil)
    }

    @Test(
        arguments: [
            { $0.samples = .max }, { $0.clearScope() }, { $0.bits = [] }, { $0.bits = [1] }, { $0.bits = [9] },
            { $0.bits = [.max] }, { $0.bits = [4, 2] }, { $0.bits = [4, 4] },
            { $0.bits = Array(repeating: 2, count: 1 << 16) }, { $0.weights.bits = 1 }, { $0.weights.bits = 9 },
            { $0.weights.levels = 4 }, { $0.weights.levels = 256 }, { $0.weights.range = 3 },
            { $0.weights.sharing = 4 }, { $0.weights.sharing = 3 },
            {
                $0.weights.sharing = 3
                $0.weights.block = 65_537
            },
            {
                $0.weights.levels = 1
                $0.weights.symmetric = false
            },
        ] as [@Sendable (inout Pleach_V1_SensitivityWork) -> Void])
    func sensitivitiesThatLieAreRefused(lie: @Sendable (inout Pleach_V1_SensitivityWork) -> Void) throws {
        #expect(try Self.refuses(.sensitivity(Self.request(WeightRules()))) { lie(&$0.sensitivity) } != nil)
    }

    @Test func filesThatLieAreRefused() throws {
        let compare = TaskWork.compare(samples: 1, Self.scope, compact: Self.blob)
        #expect(try Self.refuses(compare) { $0.compare.compact = .init() } != nil)
        #expect(try Self.refuses(compare) { $0.compare.compact = .init([1, 2]) } != nil)
        #expect(try Self.refuses(compare) { $0.compare.compactByteCount = .max } != nil)
        #expect(try Self.refuses(compare) { $0.compare.samples = .max } != nil)
        let evaluate = TaskWork.evaluate(samples: nil, compact: Self.blob)
        #expect(try Self.refuses(evaluate) { $0.evaluate.compact = .init([1]) } != nil)
        #expect(try Self.refuses(evaluate) { $0.evaluate.compactByteCount = .max } != nil)
        #expect(try Self.refuses(.inputMoments(samples: 1, Self.scope)) { $0.inputMoments.samples = .max } != nil)
    }

    /// Truncated and flipped bytes: an error or another valid message, never a trap.
    @Test func hostileBytesNeverTrap() {
        var random = SeededGenerator(seed: 11)
        var rejected = 0
        for work in Self.works {
            let bytes = CoordinatorMessage.task(Self.offer(work)).encoded()
            for length in bytes.indices where (try? CoordinatorMessage(decoding: Array(bytes[..<length]))) == nil {
                rejected += 1
            }
            for _ in 0..<100 {
                var mutated = bytes
                for _ in 0...random.index(below: 4) {
                    mutated[random.index(below: mutated.count)] = UInt8(truncatingIfNeeded: random.next())
                }
                if (try? CoordinatorMessage(decoding: mutated)) == nil { rejected += 1 }
            }
        }
        #expect(rejected > 1000)
    }
}
