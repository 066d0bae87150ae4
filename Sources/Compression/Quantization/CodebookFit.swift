import ModelGraph

/// Fits scales to fixed levels, or levels and scales to each other.
struct CodebookFit {
    let scheme: WeightScheme

    /// One codebook for all runs of a tensor, and each run's scale: levels are the integers that a file holds.
    /// Precondition: values are finite; importance, where given, has their counts.
    func fit(_ runs: [[Float]], importance: [[Float]]?) -> (levels: LevelSet, scales: [Float]) {
        switch scheme.levels {
        case .powersOfTwo, .normalQuantiles, .uniform:
            let (levels, step) = stored(
                scheme.levels == .powersOfTwo
                    ? LevelSet.powersOfTwo(bits: scheme.bits) : LevelSet.normalQuantiles(bits: scheme.bits))
            return (levels, runs.indices.map { scale(runs[$0], levels, step: step, importance?[$0]) })
        case .kMeans: return clustered(runs, importance)
        }
    }

    /// Levels as the integers that are written, and what one of these is of the levels.
    private func stored(_ levels: LevelSet) -> (levels: LevelSet, step: Float) {
        let integers = IntegerLevels(
            levels.levels, largestCode: scheme.largestCode, hasPowerOfTwoStep: scheme.hasPowerOfTwoScales)
        return (LevelSet(integers.codes.map(Float.init)), integers.step)
    }

    /// What the largest magnitude of a run is divided by to become 1.
    private func fullScale(_ values: [Float]) -> Float {
        let largest = values.reduce(0) { max($0, abs($1)) }
        guard largest > 0 else { return 1 }
        return scheme.hasPowerOfTwoScales
            ? UniformFit.powerOfTwo(atLeast: largest) : max(largest, .leastNormalMagnitude)
    }

    /// The best scale for fixed levels, of which the largest is 1/step.
    private func scale(_ values: [Float], _ levels: LevelSet, step: Float, _ importance: [Float]?) -> Float {
        let full = max(fullScale(values) * step, .leastNormalMagnitude)
        guard scheme.range == .leastSquares else { return full }
        var (best, error) = (full, squaredError(values, full, levels, importance))
        func consider(_ candidate: Float) {
            guard candidate >= .leastNormalMagnitude, candidate.isFinite else { return }
            let found = squaredError(values, candidate, levels, importance)
            if found < error { (best, error) = (candidate, found) }
        }
        if scheme.hasPowerOfTwoScales {
            for halvings in 1...5 { consider(full / Float(1 << halvings)) }
            return best
        }
        for factor in LeastSquaresGrid.factors { consider(full * factor) }
        let center = best
        for factor in LeastSquaresGrid.fineFactors { consider(center * factor) }
        if let fitted = refitted(values, best, levels, importance) { consider(fitted) }
        return best
    }

    private func squaredError(_ values: [Float], _ scale: Float, _ levels: LevelSet, _ importance: [Float]?) -> Double {
        var sum = 0.0
        for (index, value) in values.enumerated() {
            let difference = Double(value) - Double(levels.levels[levels.nearest(value / scale)] * scale)
            sum += Double(importance?[index] ?? 1) * difference * difference
        }
        return sum
    }

    /// The scale that suits the chosen levels c best, Σ v c / Σ c², or nil where there is none.
    private func refitted(_ values: [Float], _ scale: Float, _ levels: LevelSet, _ importance: [Float]?) -> Float? {
        var (product, square) = (0.0, 0.0)
        for (index, value) in values.enumerated() {
            let level = Double(levels.levels[levels.nearest(value / scale)])
            let weight = Double(importance?[index] ?? 1)
            product += weight * level * Double(value)
            square += weight * level * level
        }
        guard square > 0 else { return nil }
        let found = Float(product / square)
        return found >= .leastNormalMagnitude && found.isFinite ? found : nil
    }

    /// k-means (Lloyd 1982) over all runs, each divided by its scale; scales and centres in turns where scales are free. It begins
    /// with the uniform levels that the same scheme would have, so it ends no worse than they are.
    private func clustered(_ runs: [[Float]], _ importance: [[Float]]?) -> (levels: LevelSet, scales: [Float]) {
        var steps = scheme
        steps.levels = .uniform
        let fit = UniformFit(steps)
        // What the largest code becomes: 1, or where scales are powers of two, what a power of two makes of it.
        let largest = Float(fit.codes.upperBound)
        let reach = scheme.hasPowerOfTwoScales ? UniformFit.powerOfTwo(atLeast: largest) : largest
        var scales = runs.indices.map { run in
            let scale = fit.grid(runs[run], importance: importance?[run]).scale * reach
            return scale.isFinite ? scale : fullScale(runs[run])
        }
        let first = scales
        var start = fit.codes.map { Float($0) / reach }
        // Symmetric codes leave one level over.
        start.append(-0.5 / reach)
        var levels = LevelSet(start)
        for turn in 0..<4 {
            var clusters = LevelClusters(runs, scales, importance)
            // Quantiles are another place to begin from.
            let others = turn == 0 ? [LevelSet.normalQuantiles(bits: scheme.bits)] : []
            levels = clusters.refined(from: [levels] + others)
            guard scheme.range == .leastSquares, !scheme.hasPowerOfTwoScales, turn < 3 else { break }
            for run in runs.indices {
                scales[run] = refitted(runs[run], scales[run], levels, importance?[run]) ?? scales[run]
            }
        }
        // Integers are coarser than centres: what k-means gained may be lost again.
        let found = settled(runs, levels, scales, importance)
        let uniform = settled(runs, LevelSet(start), first, importance)
        return found.error < uniform.error ? (found.levels, found.scales) : (uniform.levels, uniform.scales)
    }

    /// Levels as they are stored, with the scales that suit them, and their squared error.
    private func settled(
        _ runs: [[Float]], _ levels: LevelSet, _ scales: [Float], _ importance: [[Float]]?
    ) -> (levels: LevelSet, scales: [Float], error: Double) {
        let (integers, step) = stored(levels)
        var (result, sum) = ([Float](), 0.0)
        for run in runs.indices {
            let given = importance?[run]
            var best = max(scales[run] * step, .leastNormalMagnitude)
            var error = squaredError(runs[run], best, integers, given)
            if scheme.range == .leastSquares, !scheme.hasPowerOfTwoScales,
                let fitted = refitted(runs[run], best, integers, given)
            {
                let other = squaredError(runs[run], fitted, integers, given)
                if other < error { (best, error) = (fitted, other) }
            }
            result.append(best)
            sum += error
        }
        return (integers, result, sum)
    }
}
