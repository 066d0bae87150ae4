import Tensors
import Testing

/// The comparison that all parity tests rest on must see every kind of disagreement.
struct AgreementTests {
    private func tensor(_ values: [Float]) throws -> Tensor { Tensor(values, shape: try Shape([values.count])) }

    @Test func oneElementOffIsSeenRelativeToTheLargest() throws {
        let agreement = Agreement(try tensor([1, 2, -100.02]), try tensor([1, 2, -100]))
        #expect(!agreement.holds(within: 1e-4))
        #expect(agreement.holds(within: 3e-4))
        #expect(try Agreement(tensor([1.005, 2, -100]), tensor([1, 2, -100])).holds(within: 1e-4))
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity]) func whatIsNotFiniteNeverAgrees(value: Float) throws {
        #expect(!Agreement(try tensor([0, value]), try tensor([0, 1])).holds(within: 1e-4))
        let everywhere = Tensor([1, 1] as [UInt8], shape: try Shape([2]))
        let agreement = Agreement(
            try tensor([0, value]), try tensor([0, 1]), undetermined: everywhere, bound: 1e9)
        #expect(!agreement.holds(within: 1e-4))
    }

    @Test func anotherShapeOrTypeNeverAgrees() throws {
        #expect(!Agreement(try tensor([1]), try tensor([1, 1])).holds(within: 1))
        #expect(!Agreement(Tensor([1] as [Int64], shape: try Shape([1])), try tensor([1])).holds(within: 1))
    }

    @Test func undeterminedElementsAreHeldToTheBoundAndOnlyThey() throws {
        let mask = Tensor([0, 1] as [UInt8], shape: try Shape([2]))
        let expected = try tensor([1, 1])
        func holds(_ values: [Float]) throws -> Bool {
            try Agreement(tensor(values), expected, undetermined: mask, bound: 0.01).holds(within: 1e-4)
        }
        #expect(try holds([1, 1.009]))
        #expect(try !holds([1, 1.011]))
        #expect(try !holds([1.009, 1]))
    }

    @Test func disagreementsNameTheTensor() throws {
        var disagreements = Disagreements()
        let reference = NamedTensors([("grad.a", try tensor([1])), ("grad.b", try tensor([1]))])
        try disagreements.compare("grad.a", tensor([1]), with: reference)
        #expect(disagreements.isEmpty)
        try disagreements.compare("grad.b", tensor([2]), with: reference)
        #expect(disagreements.description == "1 of 2 differ: grad.b 1.0e+00")
    }
}
