import Testing
import UpdateCodec

@testable import Federation

@Suite struct PlanWireTests {
    /// Otherwise "float32 both ways" would silently round biases to 16 bits.
    @Test func float32LosesNothingUnlessSmallTensorsAreToldTo() throws {
        func scheme(_ up: String) throws -> WireScheme {
            let text = "model: {architecture: cnn}\nstages: [train]\nwire: {up: {\(up)}}"
            return try Plan.parse(text, path: "p.yaml", environment: [:]).wire.up
        }
        #expect(try scheme("values: float32").smallValues == .float32)
        #expect(try scheme("values: float32, small: float16").smallValues == .float16)
        #expect(try scheme("values: int8").smallValues == .float16)
    }
}
