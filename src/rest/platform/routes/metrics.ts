import { findMetrics, findMetricsHistory } from '../../../domain/deploys/usage/index.ts'
import { queryRow, type Route, wholeNumber } from '../../core/index.ts'
import { metricsBody, metricsHistoryBody, metricsSchemas as schemas } from '../metrics-bodies.ts'

const tag = 'Web services'
const params = { web_service_id: 'webServiceId' }

export const metricsRoutes: Route[] = [
  queryRow({
    id: 'getWebServiceMetrics',
    method: 'GET',
    path: '/web-services/{web_service_id}/metrics',
    tag,
    summary: 'Retrieve CPU and memory use',
    description: 'Measured about every 10 seconds.',
    read: findMetrics,
    params,
    status: 200,
    schema: schemas.metrics,
    reply: metricsBody,
  }),
  queryRow({
    id: 'getWebServiceMetricsHistory',
    method: 'GET',
    path: '/web-services/{web_service_id}/metrics/history',
    tag,
    summary: 'Retrieve the history of CPU and memory use',
    description: 'Returns averages of a minute each. They are kept for a day.',
    read: findMetricsHistory,
    params,
    query: {
      period: {
        to: 'periodSeconds',
        read: wholeNumber,
        description: 'Length of the period up to now, in seconds.',
      },
    },
    status: 200,
    schema: schemas.metricsHistory,
    reply: metricsHistoryBody,
  }),
]
