import Testing

@testable import Worker

@Suite struct BatchPlanTests {
    @Test func batchesOfOneAreTrained() {
        let batches = BatchPlan(count: 5, batch: 1, epochs: 2, seed: 3).batches
        #expect(batches.count == 10)
        #expect(batches.prefix(5).flatMap(\.indices).sorted() == Array(0..<5))
    }

    @Test func aLastSampleAloneIsLeftOut() {
        let batches = BatchPlan(count: 5, batch: 2, epochs: 1, seed: 3).batches
        #expect(batches.map(\.indices.count) == [2, 2])
        #expect(BatchPlan(count: 1, batch: 2, epochs: 1, seed: 3).batches.map(\.indices) == [[0]])
    }
}
