/**
 * Parameters of a GraphQL request over HTTP. `plainParams` reads those of a plain POST; every other request, and everything that is wrong
 * with one, goes through Yoga, which knows the protocol. Both read the same parameters from the same body.
 */
import type { FastifyRequest } from 'fastify'
import type { GraphQLError, GraphQLSchema } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Params } from './perform.ts'

/** Why a request has no valid parameters. */
export type Fault = { status: number; text: string }

/** A promise only if Yoga reads them. */
export type ParameterReader = (request: FastifyRequest) => Params | Fault | Promise<Params | Fault>

export const isFault = (read: Params | Fault): read is Fault => 'status' in read

export function createParameterReader(schema: GraphQLSchema, endpoint: string): ParameterReader {
  const readByYoga = createYogaReader(schema, endpoint)
  return (request) => (request.method === 'POST' ? plainParams(request.body) : null) ?? readByYoga(request)
}

const names = new Set(['query', 'variables', 'operationName', 'extensions'])

/** The parameters of a JSON body that has them all in the right type, and nothing else; null for any other body. */
export function plainParams(body: unknown): Params | null {
  const params = typeof body === 'string' ? parsed(body) : null
  if (!isObject(params) || !Object.keys(params).every((name) => names.has(name))) return null
  const { query, variables, operationName, extensions } = params
  const isPlain =
    typeof query === 'string' &&
    (variables === undefined || variables === null || isObject(variables)) &&
    (operationName === undefined || operationName === null || typeof operationName === 'string') &&
    (extensions === undefined || extensions === null || isObject(extensions))
  return isPlain ? { query, variables, operationName } : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

type Reading = { read?: Params | Fault }

/** Yoga, stopped once it has read the parameters. It is loaded for the first request that needs it, because it takes 10 MB. */
export function createYogaReader(schema: GraphQLSchema, endpoint: string): ParameterReader {
  const take: Plugin<Record<string, unknown>, { reading: Reading }> = {
    onParams({ setParamsHandler }) {
      setParamsHandler(({ params, context }) => {
        const { query, variables, operationName } = params
        if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') {
          throw new Error('Expected "operationName" param to be a string.')
        }
        const { reading } = context as { reading: Reading }
        reading.read = { query, variables, operationName } as Params
        return {}
      })
    },
    onResultProcess({ result, serverContext: { reading }, setResultProcessor }) {
      reading.read ??= faultOf((result as { errors?: GraphQLError[] }).errors?.[0])
      setResultProcessor((_result, { Response }) => new Response(null), 'application/json')
    },
  }
  const load = async () => {
    const { createYoga } = await import('graphql-yoga')
    return createYoga<{ reading: Reading }>({
      schema,
      plugins: [take],
      graphqlEndpoint: endpoint,
      graphiql: false,
      landingPage: false,
      maskedErrors: false,
      multipart: false,
      batching: false,
      cors: false,
      logging: false,
      // Fastify already limits the body size.
      maxRequestBodySize: false,
      // Disables Yoga's health check: a request path never contains '#'.
      healthCheckEndpoint: '#',
    })
  }
  let loading: ReturnType<typeof load> | undefined
  return async (request) => {
    loading ??= load()
    const yoga = await loading
    const reading: Reading = {}
    const at = request.url.indexOf('?')
    const posted = request.method === 'POST' ? { method: 'POST', body: (request.body as string | undefined) ?? '' } : { method: 'GET' }
    const url = `http://localhost${endpoint}${at < 0 ? '' : request.url.slice(at)}`
    await yoga.fetch(url, { ...posted, headers: { 'content-type': 'application/json' } }, { reading })
    return reading.read!
  }
}

const faultOf = (error: GraphQLError | undefined): Fault => ({
  status: (error?.extensions.http as { status?: number } | undefined)?.status ?? 400,
  text: error?.message ?? 'The request has no valid parameters.',
})
