import Foundation
import Testing

@testable import Federation

/// What a run remembers of a quantize stage: evidence, file and facts, and which blobs they keep.
struct QuantizeHistoryTests {
    private typealias Machine = CoordinatorMachineTests

    private static func blob(_ byte: UInt8) -> BlobReference {
        BlobReference(digest: Machine.digest(byte), byteCount: 100 + Int(byte))
    }

    private static func opened(
        _ stages: [StagePlan], _ fleet: FleetRules = FleetRules(workers: 2)
    ) -> RunHistory {
        let plan = Plan(
            name: "p", model: .file("m.onnx"), fleet: fleet, stages: stages, export: ExportPlan())
        return RunHistory(
            plan: plan,
            records: [
                .runStarted(
                    run: "r", plan: "p",
                    model: ModelFacts(source: "m", parameters: 1, bytes: 1000, sampleShape: [], classes: nil),
                    teachers: [:]),
                .snapshotPublished(Machine.base),
            ])
    }

    private static func quantized(
        _ explanation: UInt8, canRetreat: Bool = false, layers: Int = 2
    ) -> QuantizationFacts {
        QuantizationFacts(target: "x86", layers: layers, canRetreat: canRetreat, explanation: blob(explanation))
    }

    /// Ends the step in progress and says what it made obsolete, as the shell asks: with all that follows applied.
    @discardableResult
    private static func finish(
        _ history: inout RunHistory, snapshot: SnapshotFacts? = nil, _ change: (inout StepOutcome) -> Void = { _ in }
    ) -> Set<Digest> {
        var outcome = StepOutcome()
        change(&outcome)
        let round = history.step?.task == nil ? nil : history.roundsOpened
        if let round, let task = history.step?.task {
            history.apply(.roundOpened(round: round, stage: history.stageIndex, task: task))
        }
        let record = LedgerRecord.stepFinished(
            round: round, stage: history.stageIndex, outcome: outcome, snapshot: snapshot, traffic: StepTraffic(),
            seconds: 1)
        history.apply(record)
        while !history.allStagesFinished, history.step == nil {
            history.apply(.stageFinished(stage: history.stageIndex, seconds: 1))
        }
        return Set(history.blobsMadeObsolete(by: record, contributions: []))
    }

    @Test func evidenceLivesAsLongAsItsStageAndFilesUntilTheyAreReplaced() {
        let plan = QuantizePlan(maximumDrop: 1)
        var history = Self.opened([.quantize(plan), .evaluate(EvaluatePlan())])
        #expect(Self.finish(&history) { $0.accuracy = 0.9 }.isEmpty)
        #expect(history.summaries[0].accuracyBefore == 0.9 && history.summaries[0].accuracyAfter == 0.9)
        #expect(Self.finish(&history) { $0.evidence = QuantizationEvidenceBlobs(calibration: Self.blob(10)) }.isEmpty)
        #expect(Self.finish(&history) { $0.evidence = QuantizationEvidenceBlobs(moments: Self.blob(11)) }.isEmpty)
        #expect(history.evidence == QuantizationEvidenceBlobs(calibration: Self.blob(10), moments: Self.blob(11)))
        Self.finish(&history) {
            $0.compact = Self.blob(20)
            $0.quantization = Self.quantized(30, canRetreat: true)
        }
        #expect(history.compact == Self.blob(20) && history.summaries[0].bytesAfter == 120)
        #expect(history.namedBlobs.isSuperset(of: [10, 11, 20, 30].map(Machine.digest)))
        // Too much is lost: sensitivities, then another file.
        Self.finish(&history) { $0.accuracy = 0.5 }
        #expect(history.step?.task == "sensitivity")
        Self.finish(&history) { $0.evidence = QuantizationEvidenceBlobs(sensitivities: Self.blob(12)) }
        guard case .quantize(let decision)? = history.step else { return #expect(Bool(false)) }
        #expect(decision.retreats == 1 && decision.evidence == history.evidence)
        let replaced = Self.finish(&history) {
            $0.compact = Self.blob(21)
            $0.quantization = Self.quantized(31)
        }
        #expect(replaced == [Machine.digest(20), Machine.digest(30)])
        #expect(history.namedBlobs.isSuperset(of: [10, 11, 12, 21, 31].map(Machine.digest)))
        Self.finish(&history) { $0.accuracy = 0.895 }
        #expect(history.step == .compare(samples: 256, QuantizationScope(), explanation: Self.blob(31)))
        // The end of the stage, applied before the shell asks.
        let obsolete = Self.finish(&history) { $0.quantization = Self.quantized(32) }
        #expect(obsolete == Set([10, 11, 12, 31].map(Machine.digest)))
        #expect(history.evidence == QuantizationEvidenceBlobs() && history.stageIndex == 1)
        #expect(history.quantization == Self.quantized(32))
        #expect(history.namedBlobs.isSuperset(of: [21, 32].map(Machine.digest)))
        #expect(history.namedBlobs.isDisjoint(with: obsolete))
        // What follows evaluates the file, and its accuracy is nobody's before.
        Self.finish(&history) { $0.accuracy = 0.89 }
        #expect(history.summaries[0].accuracyBefore == 0.9 && history.summaries[0].accuracyAfter == 0.895)
        #expect(history.summaries[1].accuracyBefore == 0.895 && history.summaries[1].bytesBefore == 121)
        #expect(history.accuracyBeforeAndAfter.before == 0.9 && history.accuracyBeforeAndAfter.after == 0.89)
    }

    /// The same file again is still needed.
    @Test func equalBytesStay() {
        var history = Self.opened([.quantize(QuantizePlan(maximumDrop: 1))])
        Self.finish(&history) { $0.accuracy = 0.9 }
        Self.finish(&history)
        Self.finish(&history)
        for attempt in 0..<2 {
            let obsolete = Self.finish(&history) {
                $0.compact = Self.blob(20)
                $0.quantization = Self.quantized(30, canRetreat: true)
            }
            #expect(obsolete.isEmpty)
            Self.finish(&history) { $0.accuracy = 0.1 }
            if attempt == 0 {
                Self.finish(&history) { $0.evidence = QuantizationEvidenceBlobs(sensitivities: Self.blob(12)) }
            }
        }
        #expect(history.namedBlobs.isSuperset(of: [12, 20, 30].map(Machine.digest)))
    }

    @Test func onlyWhatComesBeforeAnyChangeIsTheAccuracyBefore() {
        var history = Self.opened([.train(TrainPlan(rounds: 1)), .evaluate(EvaluatePlan())])
        var next = Machine.base
        next.version = 1
        next.snapshot.digest = Machine.digest(5)
        Self.finish(&history, snapshot: next)
        Self.finish(&history) { $0.accuracy = 0.7 }
        #expect(history.summaries[0].accuracyBefore == nil && history.summaries[0].accuracyAfter == 0.7)
        Self.finish(&history) { $0.accuracy = 0.6 }
        #expect(history.summaries[1].accuracyBefore == 0.7 && history.summaries[1].accuracyAfter == 0.6)
        var alone = Self.opened([.evaluate(EvaluatePlan())])
        Self.finish(&alone) { $0.accuracy = 0.6 }
        #expect(alone.summaries[0].accuracyBefore == nil)
    }

    /// Workers fetch the graph that rounds as another structure, and the file that comes of it as it is.
    @Test func simulationIsANewModelAndTheFileIsFetched() throws {
        let plan = QuantizePlan(rounds: 1)
        var history = Self.opened([.evaluate(EvaluatePlan()), .quantize(plan)])
        Self.finish(&history) { $0.accuracy = 0.9 }
        let first = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 0, worker: "w", held: [])
        #expect(first.work == .calibrate(samples: 1024, QuantizationScope()) && first.changes.isEmpty)
        Self.finish(&history) { $0.evidence = QuantizationEvidenceBlobs(calibration: Self.blob(10)) }
        var next = Machine.base
        (next.version, next.snapshot.digest, next.graph.digest) = (1, Machine.digest(5), Machine.digest(6))
        (next.maskEpoch, next.isFresh) = (1, true)
        Self.finish(&history, snapshot: next)
        let second = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 1, worker: "w", held: [Machine.base.snapshot.digest])
        #expect(second.changes == [.fresh] && second.work.kind == "train" && second.snapshot.route.isEmpty)
        #expect(second.snapshot.graph.digest == Machine.digest(6))
        (next.version, next.snapshot.digest, next.isFresh) = (2, Machine.digest(7), false)
        Self.finish(&history, snapshot: next)
        guard case .quantize(let decision)? = history.step else { return #expect(Bool(false)) }
        #expect(decision.isSimulated && decision.evidence.calibration == Self.blob(10))
        // What the stage began with is at hand.
        #expect(history.namedBlobs.contains(Machine.base.snapshot.digest))
        Self.finish(&history) {
            $0.compact = Self.blob(20)
            $0.quantization = Self.quantized(30)
        }
        let third = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 2, worker: "w", held: [])
        #expect(third.work == .evaluate(samples: nil, compact: Self.blob(20)))
        Self.finish(&history) { $0.accuracy = 0.9 }
        let fourth = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 3, worker: "w", held: [])
        #expect(fourth.work == .compare(samples: 256, QuantizationScope(), compact: Self.blob(20)))
    }

    @Test func theFileOfASimulatedModelCanFallBackOnWhatTheStageBeganWith() throws {
        var history = Self.opened([.evaluate(EvaluatePlan()), .quantize(QuantizePlan(reestimates: true))])
        Self.finish(&history) { $0.accuracy = 0.9 }
        Self.finish(&history)
        var next = Machine.base
        (next.version, next.snapshot.digest, next.isFresh) = (1, Machine.digest(5), true)
        Self.finish(&history, snapshot: next)
        #expect(history.step?.task == "train")
        history.apply(.roundOpened(round: 2, stage: 1, task: "train"))
        var machine = CoordinatorMachine(history: history)
        machine.phase = .computing(startedAt: 0)
        (next.version, next.snapshot.digest, next.isFresh) = (2, Machine.digest(7), false)
        let actions = machine.receive(
            .stepComputed(ComputedStep(outcome: StepOutcome(), snapshot: next), wireBytesUp: 1, wireBytesDown: 1),
            at: 1)
        let decision = QuantizeDecision(rules: QuantizeRules(), isSimulated: true)
        #expect(
            actions.contains(
                .compute(.transform(.quantize(decision), base: next, source: StepSource(snapshot: Machine.base)))))
    }

    /// Statistics are measured anew by one round's workers alone, whatever the rounds of training are.
    @Test func measuringStatisticsIsSynchronous() {
        let history = Self.opened(
            [.quantize(QuantizePlan(rounds: 1, reestimates: true))], FleetRules(workers: 2, rounds: .asynchronous))
        let machine = CoordinatorMachine(history: history)
        let isAsynchronous = StatisticsMode.allCases.map {
            machine.isAsynchronous(.train(TrainingRecipe(statistics: $0), teacher: nil))
        }
        #expect(isAsynchronous == [true, true, false])
    }

    @Test(arguments: [([], 2, LogLevel.info), (["fewer than 128 samples: 9"], 2, .warning), ([], 0, .warning)])
    func whatWasQuantizedIsLogged(remarks: [String], layers: Int, level: LogLevel) throws {
        var history = Self.opened([.quantize(QuantizePlan())])
        for _ in 0..<3 { Self.finish(&history) }
        var machine = CoordinatorMachine(history: history)
        machine.phase = .computing(startedAt: 0)
        var outcome = StepOutcome(compact: Self.blob(20))
        outcome.quantization = QuantizationFacts(
            target: "x86", averageBits: 3.5, layers: layers, givenUp: (0..<100).map { "w\($0): 8 bits instead of 3" },
            remarks: remarks, floatNodes: [String(repeating: "n", count: 300)], integerShare: 0.75)
        let actions = machine.receive(
            .stepComputed(ComputedStep(outcome: outcome), wireBytesUp: 1, wireBytesDown: 1), at: 1)
        let event = try #require(
            actions.compactMap { action -> LogEvent? in
                if case .log(let event) = action, event.name == "layers.quantized" { event } else { nil }
            }.first)
        #expect(event.level == level && event["target"] == .string("x86") && event["layers"] == .int(layers))
        #expect(event["averageBits"] == .double(3.5) && event["integerShare"] == .double(0.75))
        #expect(event["retreats"] == .int(0))
        guard case .strings(let givenUp)? = event["givenUp"], case .strings(let nodes)? = event["floatNodes"] else {
            return #expect(Bool(false))
        }
        #expect(givenUp.count == QuantizationFacts.listed && nodes[0].count == QuantizationFacts.nameLength)
        #expect(event["remarks"] == (remarks.isEmpty ? nil : .strings(remarks)))
    }

    @Test func recordsKeepEverythingAndReadEarlierOnes() throws {
        var outcome = StepOutcome(compact: Self.blob(20))
        outcome.evidence = QuantizationEvidenceBlobs(
            calibration: Self.blob(1), moments: Self.blob(2), sensitivities: Self.blob(3))
        outcome.quantization = QuantizationFacts(
            target: "int4", averageBits: 4, layers: 3, givenUp: ["a"], canRetreat: true, remarks: ["b"],
            floatNodes: ["c"], integerShare: 0, explanation: Self.blob(4))
        let data = try JSONEncoder().encode(outcome)
        #expect(try JSONDecoder().decode(StepOutcome.self, from: data) == outcome)
        // Earlier ledgers said how workers rebuild the file.
        let earlier = "{\"sparsity\":0.5,\"compact\":{\"method\":\"mse\",\"opset\":17}}"
        let read = try JSONDecoder().decode(StepOutcome.self, from: Data(earlier.utf8))
        #expect(read == StepOutcome(sparsity: 0.5))
    }
}
