import { describe, expect, it } from 'vitest'
import { type Baseline, cpuRate, type Usage } from '../../src/platform/usage.ts'

const capacity = { millicores: 2_000, memoryBytes: 2 ** 30 }
const usage = (uptimeMs: number, cpuMs: number, run = 'first'): Usage => ({ run, cpuMs, uptimeMs, memoryBytes: 1 })

/** The rates of successive readings. */
function ratesOf(...readings: Usage[]): (number | null)[] {
  let baseline: Baseline | undefined
  return readings.map((reading) => {
    const rate = cpuRate(baseline, reading, capacity)
    baseline = rate.baseline
    return rate.millicores
  })
}

const day = 86_400_000

describe('the CPU use between two readings', () => {
  it('is unknown for the first reading, and then the growth of the counter by the time that has passed', () => {
    expect(ratesOf(usage(day, 500_000), usage(day + 10_000, 510_000), usage(day + 20_000, 510_000))).toEqual([null, 1_000, 0])
  })

  it('is measured from the start of something that has just been started', () => {
    expect(ratesOf(usage(4_000, 2_000))).toEqual([500])
    expect(ratesOf(usage(day, 20_000), usage(3_000, 300, 'second'), usage(13_000, 300, 'second'))).toEqual([null, 100, 0])
  })

  it('is unknown after a restart that was long ago', () => {
    expect(ratesOf(usage(day, 20_000), usage(70_000, 300, 'second'))).toEqual([null, null])
  })

  it('is unknown while a counter falls or grows more than the machine can compute, and right afterwards', () => {
    expect(ratesOf(usage(day, 900_000), usage(day + 10_000, 1_000), usage(day + 20_000, 910_000))).toEqual([null, null, 500])
    expect(ratesOf(usage(day, 900_000), usage(day + 10_000, 1_800_000), usage(day + 20_000, 910_000))).toEqual([null, null, 500])
  })

  it('continues from a counter that remains lower', () => {
    const readings = [usage(day, 900_000), usage(day + 10_000, 1_000), usage(day + 20_000, 2_000), usage(day + 30_000, 3_000)]
    expect(ratesOf(...readings)).toEqual([null, null, null, 100])
  })

  it('is never infinite', () => {
    expect(ratesOf(usage(0, 0), usage(0, 10))).toEqual([null, null])
    expect(cpuRate(usage(day, 5), usage(day, 5), null).millicores).toBeNull()
  })
})
