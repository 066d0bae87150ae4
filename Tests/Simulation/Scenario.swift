import Federation
import Tensors
import UpdateCodec

/// How often things go wrong, as probabilities per message, action, transfer step or, for the rest, per second.
struct FaultRates: Sendable {
    var loss = 0.0
    var duplication = 0.0
    var reordering = 0.0
    var crashPerCoordinatorAction = 0.0
    var crashPerWorkerAction = 0.0
    var transferBreak = 0.0
    var wrongBytes = 0.0
    var powerLossShare = 0.3
    /// Mean seconds between blows, and the kinds of blow this seed knows; none means none.
    var blowSeconds = 1.0
    var blows: [Blow] = []
    var maximumDelay = 0.02
}

/// What strikes a process or the network at a random time.
enum Blow: CaseIterable, Sendable {
    case breakConnection, killCoordinator, killWorker, partition, asymmetricPartition, isolateCoordinator, stall
    case fillCoordinatorDisk, fillWorkerDisk, stopCoordinator, stopWorker
}

/// What one seed decides before the first event: the plan, the fleet, and what may go wrong.
public struct SimulationScenario: Sendable {
    public let seed: UInt64
    public internal(set) var plan: Plan
    public internal(set) var honestWorkers: Int
    var hostile: [HostileKind]
    var rates: FaultRates
    /// Faults stop at this time; from then on the run must finish within `boundSeconds`.
    var calmAt: Double
    /// Whether every honest worker must contribute to every round, so that the result is that of an undisturbed run.
    public let isForced: Bool

    public init(seed: UInt64) {
        var random = SeededGenerator(seed: seed, labels: "scenario")
        self.seed = seed
        let honest = Self.fleetSize(&random)
        isForced = random.chance(0.5)
        let fleet = Self.fleet(honest, isForced: isForced, &random)
        plan = Plan(
            name: "simulated", seed: random.next(), model: .file("model.onnx"), data: nil, fleet: fleet,
            wire: WireRules(up: WireScheme(errorFeedback: random.chance(0.9))),
            stages: Self.stages(&random), export: ExportPlan())
        honestWorkers = honest
        hostile = random.chance(0.4) ? (0..<random.integer(1...3)).map { _ in random.pick(HostileKind.allCases) } : []
        rates = Self.rates(&random)
        calmAt = random.between(5, 45)
        // Of a generator of its own, so that it changes nothing else of a seed.
        var widths = SeededGenerator(seed: seed, labels: "widths")
        if !plan.stages.contains(where: \.correctsDrift), widths.chance(0.4) {
            plan.fleet.widths = widths.chance(0.5) ? [1, 0.5] : [1, 0.5, 0.25]
        }
        var layers = SeededGenerator(seed: seed, labels: "factorize")
        if layers.chance(0.3) {
            let stage = FactorizePlan(
                rules: FactorizeRules(amount: .evbmf), samples: layers.chance(0.6) ? 64 : 0,
                rounds: layers.integer(0...2))
            plan.stages.insert(.factorize(stage), at: layers.integer(0...plan.stages.count))
        }
        var files = SeededGenerator(seed: seed, labels: "quantize")
        // What follows would train on, which no plan asks for.
        if let index = plan.stages.firstIndex(where: { $0.kind == "quantize" }) {
            plan.stages.removeSubrange(index...)
            plan.stages.append(.quantize(Self.quantize(&files, hasWidths: plan.fleet.hasWidths)))
            if files.chance(0.3) { plan.stages.append(.evaluate(EvaluatePlan())) }
        }
    }

    /// The same plan and fleet, and nothing goes wrong.
    func undisturbed() -> SimulationScenario {
        var scenario = self
        scenario.hostile = []
        scenario.rates = FaultRates()
        scenario.calmAt = 0
        return scenario
    }

    /// Simulated seconds within which a run must finish once nothing goes wrong any more: each round may still need a
    /// deadline, a lease that runs out, and a run that gives up once and is started again.
    var boundSeconds: Double {
        let fleet = plan.fleet
        return 300 + Double(rounds) * (fleet.deadlineSeconds + fleet.waitSeconds + 2 * fleet.leaseSeconds)
    }

    /// With those that the guard of a file's accuracy adds: sensitivities if there are none, and each attempt's evaluation.
    var rounds: Int {
        plan.stages.reduce(plan.roundsPlanned) { rounds, stage in
            guard case .quantize(let plan) = stage, plan.maximumDrop != nil else { return rounds }
            return rounds + SimulatedNumerics.retreats + (plan.bitsOfBudget.isEmpty ? 1 : 0)
        }
    }

    private static func quantize(_ random: inout SeededGenerator, hasWidths: Bool) -> QuantizePlan {
        let targets = ExportTarget.allCases.filter(\.hasIntegerWeights)
        var plan = QuantizePlan(
            rules: QuantizeRules(
                scope: QuantizationScope(target: random.pick(targets)),
                amount: random.chance(0.4) ? .averageBits(4) : .same, correctsBiases: random.chance(0.7)),
            comparedSamples: random.chance(0.7) ? 256 : 0, maximumDrop: random.chance(0.4) ? 1 : nil)
        if !hasWidths, random.chance(0.4) {
            (plan.rounds, plan.reestimates) = (random.integer(0...3), random.chance(0.5))
            // Statistics that are measured anew do not pass through the server's optimizer, which the mirror does not know.
            if !plan.reestimates, random.chance(0.3) { plan.server.kind = .momentum }
        }
        return plan
    }

    private static func fleetSize(_ random: inout SeededGenerator) -> Int {
        let draw = random.between(0, 1)
        return if draw < 0.75 {
            random.integer(1...5)
        } else if draw < 0.97 {
            random.integer(6...12)
        } else {
            random.integer(13...50)
        }
    }

    private static func fleet(_ honest: Int, isForced: Bool, _ random: inout SeededGenerator) -> FleetRules {
        let workers = isForced ? honest : random.integer(1...honest)
        let lease = random.between(2, 10)
        return FleetRules(
            workers: workers, quorum: isForced ? workers : random.integer(1...workers),
            overSelect: isForced ? 0 : random.integer(0...2),
            rounds: !isForced && random.chance(0.3) ? .asynchronous : .synchronous,
            maximumStaleness: random.integer(0...4), deadlineSeconds: random.between(5, 30),
            waitSeconds: random.between(15, 60), leaseSeconds: lease,
            heartbeatSeconds: lease * random.between(0.1, 0.45))
    }

    private static func stages(_ random: inout SeededGenerator) -> [StagePlan] {
        var stages: [StagePlan] = []
        for index in 0..<random.integer(1...4) {
            switch random.index(below: 6) {
            case 0, 1:
                var recipe = TrainingRecipe()
                var server = ServerOptimizer()
                if random.chance(0.3) { recipe.correction = .scaffold }
                if random.chance(0.3) { server.kind = .momentum }
                stages.append(.train(TrainPlan(rounds: random.integer(1...3), recipe: recipe, server: server)))
            case 2:
                let teacher = index > 0 && random.chance(0.7) ? TeacherSource.stage(0) : .file("teacher.onnx")
                var members = [TeacherMember(teacher)]
                if index > 1, random.chance(0.3) { members.append(TeacherMember(.stage(1), weight: 2)) }
                stages.append(
                    .distill(DistillPlan(rounds: random.integer(1...2), teacher: TeacherPlan(members: members))))
            case 3:
                stages.append(
                    .prune(
                        PrunePlan(
                            rules: MaskRules(
                                granularity: random.chance(0.5) ? .channel : .weight,
                                criterion: random.chance(0.5) ? .taylor : .l2),
                            schedule: random.chance(0.2) ? .lottery : .cubic, steps: random.integer(1...2),
                            roundsPerStep: random.integer(0...1))))
            case 4: stages.append(.quantize(QuantizePlan()))
            default: stages.append(.evaluate(EvaluatePlan()))
            }
        }
        return stages
    }

    /// Each seed knows a part of what may go wrong: faults that come together all the time hide each other.
    private static func rates(_ random: inout SeededGenerator) -> FaultRates {
        func some(_ most: Double, _ share: Double = 0.5) -> Double {
            random.chance(share) ? random.between(0, most) : 0
        }
        var rates = FaultRates()
        rates.loss = some(0.08)
        rates.duplication = some(0.08)
        rates.reordering = some(0.1)
        rates.crashPerCoordinatorAction = some(0.01)
        rates.crashPerWorkerAction = some(0.02)
        rates.transferBreak = some(0.1)
        rates.wrongBytes = some(0.03)
        rates.powerLossShare = random.between(0, 1)
        rates.blowSeconds = random.between(0.5, 5)
        rates.blows = Blow.allCases.filter { _ in random.chance(0.5) }
        rates.maximumDelay = random.magnitude(0.002, 1)
        return rates
    }
}

extension StagePlan {
    /// Which excludes widths.
    fileprivate var correctsDrift: Bool {
        if case .train(let plan) = self { plan.recipe.correction != .none } else { false }
    }
}
