import { builder } from '../../../graphql/builder/index.ts'
import { parseInput } from '../../../platform/command.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { currentMetrics, historyInput, type Metrics, metricsHistory } from './index.ts'

const percent = 'Without a limit, which services do not have, it is a percentage of what the machine has. Null if that is not known.'

const MetricsPoint = builder.objectRef<Metrics>('WebServiceMetricsPoint').implement({
  description: 'CPU and memory that the instances of a service used, as averages of a minute.',
  fields: (t) => ({
    timestamp: t.field({ type: 'DateTime', description: 'End of the minute.', resolve: ({ at }) => at! }),
    cpuUsageMillicores: t.int({ description: 'CPU time per second, in thousandths of a core.', resolve: ({ millicores }) => millicores! }),
    cpuUsagePercent: t.exposeFloat('cpuPercent', { nullable: true, description: `CPU use in percent. ${percent}` }),
    memoryUsageBytes: t.float({
      description: 'Resident memory of all processes of the instances, in bytes.',
      resolve: ({ memoryBytes }) => memoryBytes!,
    }),
    memoryUsagePercent: t.exposeFloat('memoryPercent', { nullable: true, description: `Memory use in percent. ${percent}` }),
    instanceCount: t.exposeInt('instances', { description: 'Number of instances that were measured.' }),
  }),
})

const unknown = 'Null while nothing is measured, such as without a running instance and in the first seconds.'
const pointsOfCost = 4

const WebServiceMetrics = builder.objectRef<Metrics>('WebServiceMetrics').implement({
  description: 'CPU and memory that the instances of a service use together.',
  fields: (t) => ({
    timestamp: t.field({ type: 'DateTime', nullable: true, description: `Time of the measurement. ${unknown}`, resolve: ({ at }) => at }),
    cpuUsageMillicores: t.exposeInt('millicores', {
      nullable: true,
      description: `CPU time per second since the measurement before, in thousandths of a core. ${unknown}`,
    }),
    cpuUsagePercent: t.exposeFloat('cpuPercent', { nullable: true, description: `CPU use in percent. ${percent}` }),
    memoryUsageBytes: t.exposeFloat('memoryBytes', {
      nullable: true,
      description: `Resident memory of all processes of the instances, in bytes. Memory that processes share is counted for each. ${unknown}`,
    }),
    memoryUsagePercent: t.exposeFloat('memoryPercent', { nullable: true, description: `Memory use in percent. ${percent}` }),
    instanceCount: t.exposeInt('instances', { description: 'Number of instances that were measured, or are running.' }),
    history: t.field({
      type: [MetricsPoint],
      description: 'Averages of a minute each, oldest first. Kept for a day. Minutes in which nothing was measured are absent.',
      args: {
        periodSeconds: t.arg.int({ defaultValue: 3_600, description: 'Length of the period up to now, from 60 to 86400 seconds.' }),
      },
      extensions: {
        cost: (argument: (name: string) => unknown) => Math.ceil(Number(argument('periodSeconds') ?? 3_600) / 60 / pointsOfCost),
      },
      resolve: ({ webServiceId }, args, context) => {
        const { periodSeconds } = parseInput(historyInput, { periodSeconds: args.periodSeconds ?? undefined })
        return context.load(`WebService.metrics.history ${periodSeconds}`, webServiceId, (ids: readonly string[]) =>
          metricsHistory(context.app, ids, periodSeconds),
        )
      },
    }),
  }),
})

builder.prismaObjectField(WebService, 'metrics', (t) =>
  t.field({
    type: WebServiceMetrics,
    description: 'CPU and memory that the instances of the service use.',
    resolve: ({ id }, _args, context) =>
      context.load('WebService.metrics', id, (ids: readonly string[]) => currentMetrics(context.app, ids)),
  }),
)
