import Testing

@testable import Engine

/// Learning rates against PyTorch's schedulers.
struct TrainingScheduleTests {
    private func rates(_ schedule: LearningRateSchedule, _ total: Int) -> [Double] {
        (0..<total).map { schedule.rate(at: $0, of: total, peak: 0.2) }
    }

    private func isClose(_ found: [Double], _ expected: [Double]) -> Bool {
        found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) < 1e-9 }
    }

    @Test func everyShapeIsPyTorchs() {
        #expect(isClose(rates(.cosine(floor: 0.1), 10), TrainingReference.cosineRates))
        #expect(isClose(rates(.cosine(warmUpSteps: 4), 12), TrainingReference.warmCosineRates))
        #expect(isClose(rates(.step(every: 3, factor: 0.5), 10), TrainingReference.stepRates))
        #expect(isClose(rates(.oneCycle(), 20), TrainingReference.cycleRates))
        #expect(isClose(rates(.oneCycle(), 7), TrainingReference.oddCycleRates))
        let cycling = LearningRateSchedule.oneCycle(cyclesMomentum: true)
        #expect(isClose((0..<15).compactMap { cycling.momentum(at: $0, of: 15) }, TrainingReference.cycleMomenta))
        #expect(rates(.constant, 3) == [0.2, 0.2, 0.2])
        #expect(LearningRateSchedule.oneCycle().momentum(at: 1, of: 9) == nil)
    }

    @Test func everyRateIsFiniteAndBounded() {
        let shapes: [LearningRateSchedule.Shape] = [
            .constant, .cosine(floor: 0), .oneCycle(cyclesMomentum: true), .step(every: 1, factor: 0.5),
        ]
        for shape in shapes {
            for total in [0, 1, 2, 3, 4, 10, 11] {
                for warmUp in [0, 1, 3, 20] {
                    let schedule = LearningRateSchedule(shape, warmUpSteps: warmUp)
                    for step in -1...(total + 2) {
                        let rate = schedule.rate(at: step, of: total, peak: 1)
                        #expect((0...1).contains(rate), "\(shape) \(step) of \(total)")
                        if let momentum = schedule.momentum(at: step, of: total) {
                            #expect((0.849...0.951).contains(momentum))
                        }
                    }
                }
            }
        }
    }

    @Test func warmUpRisesInEqualSteps() {
        let schedule = LearningRateSchedule(.constant, warmUpSteps: 4)
        #expect(rates(schedule, 6) == [0.05, 0.1, 0.2 * 3 / 4, 0.2, 0.2, 0.2])
        // The last step's rate is kept beyond the end.
        #expect(
            LearningRateSchedule.step(every: 1, factor: 0.5).rate(at: 9, of: 3, peak: 1) == 0.25)
    }

    @Test func nonsenseIsRefused() {
        let bad: [LearningRateSchedule] = [
            .cosine(floor: 2), .cosine(floor: .nan), .cosine(warmUpSteps: -1), .step(every: 0, factor: 0.5),
            .step(every: 1, factor: 0), .step(every: 1, factor: .infinity),
        ]
        for schedule in bad { #expect(throws: EngineError.self) { try schedule.validate() } }
        #expect(throws: Never.self) { try LearningRateSchedule.oneCycle(warmUpSteps: 3).validate() }
    }
}
