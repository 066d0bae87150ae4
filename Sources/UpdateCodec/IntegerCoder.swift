import CKernels

/// The codes of an integer format, made a run at a time and never kept.
struct IntegerCoder {
    let values: UnsafeBufferPointer<Float>
    let scales: BlockScales
    let format: ValueFormat
    let rounding: pleach_rounding

    func quantize(_ run: Range<Int>, into out: UnsafeMutablePointer<Int8>) {
        pleach_quantize(
            values.at(run), run.count, scales.halves, scales.factor, scales.block, run.lowerBound, rounding, out)
    }

    func withCodes<Result>(_ run: Range<Int>, _ body: (UnsafeBufferPointer<Int8>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: Int8.self, capacity: run.count) { codes in
            if let first = codes.baseAddress { quantize(run, into: first) }
            return body(UnsafeBufferPointer(codes))
        }
    }

    func withFolded<Result>(
        _ run: Range<Int>, floor: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        withCodes(run) { codes in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: run.count) { folded in
                pleach_fold_signs(codes.baseAddress, codes.count, UInt32(floor), folded.baseAddress)
                return body(UnsafeBufferPointer(folded))
            }
        }
    }
}

extension UnsafeBufferPointer {
    /// Where a range begins.
    func at(_ range: Range<Int>) -> UnsafePointer<Element>? { baseAddress.map { $0 + range.lowerBound } }
}
