/** Scheduled actions: each active one runs every half second. That of the mail queue sends what is waiting, by each active server. */
import { createConnection } from 'node:net'
import { log } from './log.mjs'

/** Returns what ends the runs. */
export function runCron({ db, options }) {
  if (options.max_cron_threads === 0) return () => {}
  let isBusy = false
  const timer = setInterval(async () => {
    if (isBusy) return
    isBusy = true
    await runAll(db).catch((error) => log.error('odoo.addons.base.models.ir_cron', error.message))
    isBusy = false
  }, 500)
  return () => clearInterval(timer)
}

async function runAll(db) {
  const { rows: jobs } = await db.query('update ir_cron set lastcall = now() where active returning cron_name')
  if (!jobs.some(({ cron_name: name }) => name === 'Mail: Email Queue Manager')) return
  const { rows: servers } = await db.query(
    "select smtp_host, smtp_port from ir_mail_server where active and smtp_host <> 'invalid' limit 1",
  )
  if (servers.length === 0) return
  const { rows: mails } = await db.query("update mail_mail set state = 'sent' where state = 'outgoing' returning email_to, subject")
  for (const mail of mails) await send(servers[0], mail)
}

/** Sends a mail by SMTP. */
const send = ({ smtp_host: host, smtp_port: port }, { email_to: to, subject }) =>
  new Promise((resolve, reject) => {
    const steps = ['EHLO odoo', 'MAIL FROM:<odoo@example.com>', `RCPT TO:<${to}>`, 'DATA', `Subject: ${subject}\r\n\r\nHello\r\n.`, 'QUIT']
    const socket = createConnection({ host, port })
    socket.setEncoding('utf8')
    socket.on('error', reject)
    socket.on('close', resolve)
    let text = ''
    socket.on('data', (part) => {
      text += part
      // The last line of an answer has a space after its code.
      if (/^\d{3} .*\r\n$/m.test(text) && steps.length > 0) {
        text = ''
        socket.write(`${steps.shift()}\r\n`)
      }
    })
  })
