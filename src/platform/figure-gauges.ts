/** Metrics of the whole installation, read from the database at each scrape of any process. */
import { Gauge, type Registry } from 'prom-client'
import { createFailureLog } from './failure-log.ts'
import type { App } from './work.ts'

type Options<Figures> = {
  /** Of the names of the gauges, such as `quayside_webhook`. */
  prefix: string
  /** What the log calls the metrics, such as `webhook`. */
  noun: string
  /** Called once for all gauges of a scrape. */
  read(app: App): Promise<Figures>
  registers: Registry[]
}

/** Adds a gauge that `set` fills from the figures that were read. Without them, it has no value, and other metrics are still served. */
export type AddGauge<Figures> = <Label extends string>(
  name: string,
  help: string,
  labelNames: Label[],
  set: (own: Gauge<Label>, now: Figures) => void,
) => void

export function figureGauges<Figures>(app: App, { prefix, noun, read, registers }: Options<Figures>): AddGauge<Figures> {
  const failed = `the ${noun} metrics could not be read`
  const failures = createFailureLog(app, { failed, recovered: `the ${noun} metrics can be read again` }, 'warn')
  let reading: Promise<Figures | null> | undefined
  const figures = () => {
    reading ??= readOrNull().finally(() => {
      reading = undefined
    })
    return reading
  }
  const readOrNull = async (): Promise<Figures | null> => {
    try {
      const found = await read(app)
      failures.succeeded()
      return found
    } catch (error) {
      failures.failed(error)
      return null
    }
  }
  return (name, help, labelNames, set) =>
    void new Gauge({
      name: `${prefix}_${name}`,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset()
        const now = await figures()
        if (now) set(this, now)
      },
    })
}
