/** A custom domain from its addition to HTTPS, with a real server, a real DNS and a real certificate authority. */
import { request } from 'node:https'
import { expect, it, onTestFinished } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { pebbleMissing, startPebble } from '../support/pebble.ts'
import { startServer } from '../support/server.ts'
import { until } from '../support/wait.ts'

it.skipIf(pebbleMissing !== null)(pebbleMissing ?? 'a proven domain is served over HTTPS, also after a restart', async () => {
  const [httpPort, tlsPort] = [await freePort(), await freePort()]
  const pebble = await startPebble({ httpPort })
  onTestFinished(pebble.close)
  const server = await startServer({
    ...{ ROUTER_PORT: String(httpPort), ROUTER_TLS_PORT: String(tlsPort), DNS_SERVERS: pebble.dns },
    ...{ ACME_DIRECTORY_URL: pebble.directoryUrl, ACME_CA_FILE: pebble.caFile, ACME_EMAIL: 'ops@example.com' },
  })
  onTestFinished(server.close)
  const { createProject } = await server.gql('mutation { createProject(input: {name: "Shop"}) { project { id } } }')
  const { createWebService } = await server.gql(
    'mutation ($p: ID!) { createWebService(input: {projectId: $p, name: "Shop"}) { webService { id } } }',
    { p: createProject.project.id },
  )
  const domain = 'www.shop.example'
  const { addCustomDomain } = await server.gql(
    'mutation ($s: ID!, $d: String!) { addCustomDomain(input: {webServiceId: $s, domain: $d}) { customDomain { id records { purpose name value } } } }',
    { s: createWebService.webService.id, d: domain },
  )
  const { id, records } = addCustomDomain.customDomain
  const proof = records.find(({ purpose }: { purpose: string }) => purpose === 'OWNERSHIP')
  await pebble.publish(proof.name, proof.value)
  const { verifyCustomDomain } = await server.gql(
    'mutation ($id: ID!) { verifyCustomDomain(input: {id: $id}) { customDomain { dnsStatus } } }',
    {
      id,
    },
  )
  expect(verifyCustomDomain.customDomain.dnsStatus).toBe('VERIFIED')
  const fetched = () =>
    new Promise<string | null>((resolve) => {
      const sent = request({
        host: '127.0.0.1',
        port: tlsPort,
        servername: domain,
        headers: { host: domain },
        ca: pebble.root,
        agent: false,
      })
      sent.on('error', () => resolve(null))
      sent.on('response', (response) => {
        response.resume()
        resolve(`${response.statusCode} ${response.headers['x-quayside-error']}`)
      })
      sent.end()
    })
  expect(await until('HTTPS', fetched)).toBe('503 service_not_deployed')
  const { customDomain } = await server.gql('query ($id: ID!) { customDomain(id: $id) { sslStatus certificate { source lastError } } }', {
    id,
  })
  expect(customDomain).toEqual({ sslStatus: 'ACTIVE', certificate: { source: 'ACME', lastError: null } })
  await server.kill('SIGTERM')
  await server.start()
  expect(await fetched()).toBe('503 service_not_deployed')
})
