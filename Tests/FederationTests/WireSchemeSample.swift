import UpdateCodec

enum WireSchemeSample {
    static let scheme = WireScheme(selection: .topK(density: 0.05), values: .int4)
}
