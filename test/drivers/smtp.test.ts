import { afterEach, describe, expect, it } from 'vitest'
import { createSmtpTransport, type SmtpTransport } from '../../src/drivers/smtp/index.ts'
import { PortError } from '../../src/platform/errors.ts'
import { Secret } from '../../src/platform/settings.ts'
import { type MailServer, openMailServer, openTcpServer } from '../support/mail-server.ts'

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close()
})

const quick = { connectMs: 300, answerMs: 300, attemptMs: 800 }

async function server(options?: Parameters<typeof openMailServer>[0]): Promise<MailServer> {
  const made = await openMailServer(options)
  opened.push(made)
  return made
}

function transport(url: string, timeouts = { ...quick, connectMs: 5_000, answerMs: 20_000, attemptMs: 60_000 }): SmtpTransport {
  const made = createSmtpTransport({ url: new Secret(url), maxConnections: 2, timeouts })
  opened.push(made)
  return made
}

const mail = (to: string[]) => ({
  from: 'shop@shop.example',
  to,
  raw: Buffer.from('From: shop@shop.example\r\nSubject: Hello\r\n\r\nA line.\r\n.\r\nA dot before.\r\n'),
  reportId: null,
})
const never = new AbortController().signal

const failureOf = async (outcome: Promise<unknown>): Promise<string> => {
  const error = await outcome.then(
    () => new Error('it was sent'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof PortError)) throw error
  return `${error.code}: ${error.message}`
}

describe('the SMTP transport', () => {
  it('sends the bytes as they are, over one connection for several mails', async () => {
    const smtpServer = await server()
    const smtp = transport(smtpServer.url)
    for (let n = 0; n < 3; n++) await smtp.send(mail(['ada@example.com']), never)
    expect(smtpServer.received).toHaveLength(3)
    expect(smtpServer.received[0]).toEqual({ from: 'shop@shop.example', to: ['ada@example.com'], raw: mail([]).raw.toString() })
    expect(smtpServer.connections).toBe(1)
  })

  it('reports the answer for each recipient', async () => {
    const smtpServer = await server()
    smtpServer.refused.set('bob@example.com', [550, '5.1.1 No such user'])
    smtpServer.refused.set('eve@example.com', [450, '4.2.1 Try again later'])
    const { recipients, reports } = await transport(smtpServer.url).send(
      mail(['ada@example.com', 'bob@example.com', 'eve@example.com']),
      never,
    )
    expect(recipients).toMatchObject([
      { address: 'ada@example.com', answer: 'accepted', code: '250' },
      { address: 'bob@example.com', answer: 'refused', whole: false, code: '550', text: expect.stringContaining('No such user') },
      { address: 'eve@example.com', answer: 'deferred', whole: false, code: '450' },
    ])
    expect(reports).toBe(false)
    expect(smtpServer.received.map(({ to }) => to)).toEqual([['ada@example.com']])
  })

  it('reports each answer also if all are refused, and can use the connection again', async () => {
    const smtpServer = await server()
    const smtp = transport(smtpServer.url)
    smtpServer.refused.set('bob@example.com', [550, '5.1.1 No such user'])
    smtpServer.refused.set('eve@example.com', [451, '4.7.1 Greylisted'])
    const { recipients } = await smtp.send(mail(['bob@example.com', 'eve@example.com']), never)
    expect(recipients.map(({ answer, whole }) => [answer, whole])).toEqual([
      ['refused', false],
      ['deferred', false],
    ])
    await smtp.send(mail(['ada@example.com']), never)
    expect(smtpServer.received).toHaveLength(1)
  })

  it.each([
    [554, 'refused'],
    [452, 'deferred'],
  ] as const)('a %i for the content holds for the mail as a whole', async (code, answer) => {
    const smtpServer = await server()
    smtpServer.answer = [code, 'Not today']
    const { recipients } = await transport(smtpServer.url).send(mail(['ada@example.com', 'bob@example.com']), never)
    expect(recipients).toMatchObject(
      ['ada', 'bob'].map((name) => ({ address: `${name}@example.com`, answer, whole: true, code: String(code) })),
    )
  })

  it('requests delivery reports where the server can give them', async () => {
    const smtpServer = await server({ hideDSN: false } as never)
    const { reports } = await transport(smtpServer.url).send({ ...mail(['ada@example.com']), reportId: 'token' }, never)
    expect(reports).toBe(true)
  })

  it('logs in, and sends over TLS', async () => {
    const logins: unknown[] = []
    const smtpServer = await server({
      secure: true,
      authOptional: false,
      onAuth({ username, password }, _session, done) {
        logins.push([username, password])
        done(password === 'p@ss/word' ? null : new Error('Invalid login'), { user: username })
      },
    })
    const at = (password: string) => smtpServer.url.replace('://', `://mailer:${encodeURIComponent(password)}@`)
    await transport(`${at('p@ss/word')}?tls.rejectUnauthorized=false`).send(mail(['ada@example.com']), never)
    expect(smtpServer.received).toHaveLength(1)
    expect(logins).toEqual([['mailer', 'p@ss/word']])
    expect(await failureOf(transport(`${at('wrong')}?tls.rejectUnauthorized=false`).send(mail(['ada@example.com']), never))).toBe(
      'UNREACHABLE: The SMTP server refused the login.',
    )
    // The certificate is not trusted.
    expect(await failureOf(transport(at('p@ss/word')).send(mail(['ada@example.com']), never))).toMatch(/^UNREACHABLE: /)
    expect(smtpServer.received).toHaveLength(1)
  })

  it('says so if nothing listens', async () => {
    const smtpServer = await openMailServer()
    await smtpServer.close()
    expect(await failureOf(transport(smtpServer.url).send(mail(['ada@example.com']), never))).toBe(
      'UNREACHABLE: The SMTP server could not be reached.',
    )
  })

  it.each<[string, Parameters<typeof openTcpServer>[0]]>([
    ['never greets', () => {}],
    ['closes at once', (socket) => socket.end()],
    ['greets with garbage', (socket) => socket.write('\x00\xff HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['sends an endless line', (socket) => void setInterval(() => socket.destroyed || socket.write('2'.repeat(10_000)), 5).unref()],
    [
      'answers one letter at a time',
      (socket) => {
        socket.write('220 slow\r\n')
        setInterval(() => socket.destroyed || socket.write('2'), 20).unref()
      },
    ],
    ['is not available', (socket) => socket.end('421 4.3.2 Shutting down\r\n')],
    [
      'takes the mail and never answers',
      (socket) => {
        socket.write('220 tarpit\r\n')
        socket.on('data', (bytes) => {
          const text = bytes.toString()
          if (/^EHLO|^MAIL|^RCPT/m.test(text)) socket.write('250 ok\r\n')
          if (/^DATA/m.test(text)) socket.write('354 go on\r\n')
        })
      },
    ],
  ])('gives up on a server that %s, and works afterwards', async (_what, serve) => {
    const strange = await openTcpServer(serve)
    opened.push(strange)
    const smtp = transport(strange.url, quick)
    expect(await failureOf(smtp.send(mail(['ada@example.com']), never))).toMatch(/^UNREACHABLE: The SMTP server /)
    expect(await failureOf(smtp.send(mail(['ada@example.com']), never))).toMatch(/^UNREACHABLE: The SMTP server /)
  })

  it('sends a mail once to a server that takes it and breaks off before it answers', async () => {
    let mails = 0
    const strange = await openTcpServer((socket) => {
      socket.write('220 hasty\r\n')
      let isData = false
      socket.on('data', (bytes) => {
        const text = bytes.toString()
        if (isData && text.includes('\r\n.\r\n')) {
          mails++
          return socket.destroy()
        }
        if (/^DATA/m.test(text)) {
          isData = true
          socket.write('354 go on\r\n')
        } else socket.write('250 ok\r\n')
      })
    })
    opened.push(strange)
    expect(await failureOf(transport(strange.url).send(mail(['ada@example.com']), never))).toMatch(/^UNREACHABLE: /)
    expect(mails).toBe(1)
  })

  it('stops at once when it is told to', async () => {
    const silent = await openTcpServer(() => {})
    opened.push(silent)
    const stopping = new AbortController()
    const sent = transport(silent.url).send(mail(['ada@example.com']), stopping.signal)
    stopping.abort(new Error('stopping'))
    await expect(sent).rejects.toThrow('stopping')
  })
})
