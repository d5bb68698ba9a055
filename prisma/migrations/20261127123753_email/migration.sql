-- CreateEnum
CREATE TYPE "email_mode" AS ENUM ('SANDBOX', 'PRODUCTION');

-- CreateEnum
CREATE TYPE "email_status" AS ENUM ('QUEUED', 'SENT', 'DELIVERED', 'BOUNCED', 'COMPLAINED', 'FAILED');

-- CreateEnum
CREATE TYPE "dns_check_status" AS ENUM ('PENDING', 'VERIFIED', 'FAILED');

-- CreateTable
CREATE TABLE "email_service" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "mode" "email_mode" NOT NULL DEFAULT 'SANDBOX',
    "track_opens" BOOLEAN NOT NULL DEFAULT false,
    "track_clicks" BOOLEAN NOT NULL DEFAULT false,
    "created_by" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "email_service_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "sending_domain" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "email_service_id" UUID NOT NULL,
    "domain" TEXT NOT NULL,
    "selector" TEXT NOT NULL,
    "private_key" BYTEA NOT NULL,
    "public_key" TEXT NOT NULL,
    "status" "dns_check_status" NOT NULL DEFAULT 'PENDING',
    "checks" JSON NOT NULL DEFAULT '{}',
    "check_error" TEXT,
    "checked_at" TIMESTAMPTZ(3),
    "next_check_at" TIMESTAMPTZ(3) NOT NULL,
    "failing_since" TIMESTAMPTZ(3),
    "verified_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "sending_domain_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "sandbox_recipient" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "email_service_id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "code_mac" TEXT,
    "tries_left" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "verified_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "sandbox_recipient_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "email_api_key" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "email_service_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "resource_binding_id" UUID,
    "sealed" BYTEA,
    "fingerprint" TEXT,
    "created_by" TEXT NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "email_api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "email_message" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "email_service_id" UUID NOT NULL,
    "mode" "email_mode" NOT NULL,
    "sender" TEXT NOT NULL,
    "to_addresses" TEXT[],
    "subject" TEXT NOT NULL,
    "status" "email_status" NOT NULL DEFAULT 'QUEUED',
    "attempt_count" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) DEFAULT app_now(),
    "error" TEXT,
    "delivered_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "email_message_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "email_message_recipient" (
    "email_message_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "address" TEXT NOT NULL,
    "status" "email_status" NOT NULL DEFAULT 'QUEUED',

    CONSTRAINT "email_message_recipient_pkey" PRIMARY KEY ("email_message_id","number")
);

-- CreateTable
CREATE TABLE "email_count" (
    "email_service_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "sent" INTEGER NOT NULL DEFAULT 0,
    "delivered" INTEGER NOT NULL DEFAULT 0,
    "bounced" INTEGER NOT NULL DEFAULT 0,
    "complained" INTEGER NOT NULL DEFAULT 0,
    "opened" INTEGER NOT NULL DEFAULT 0,
    "clicked" INTEGER NOT NULL DEFAULT 0,
    "failed" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "email_count_pkey" PRIMARY KEY ("email_service_id","hour")
);

-- CreateTable
CREATE TABLE "email_usage" (
    "organization_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "sent" INTEGER NOT NULL,

    CONSTRAINT "email_usage_pkey" PRIMARY KEY ("organization_id","day")
);

-- CreateTable
CREATE TABLE "sandbox_code_count" (
    "organization_id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "sent" INTEGER NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sandbox_code_count_pkey" PRIMARY KEY ("organization_id","email")
);

-- CreateIndex
CREATE UNIQUE INDEX "email_service_organization_id_id_key" ON "email_service"("organization_id", "id");

-- CreateIndex
CREATE INDEX "sending_domain_next_check_at_idx" ON "sending_domain"("next_check_at");

-- CreateIndex
CREATE UNIQUE INDEX "sending_domain_email_service_id_domain_key" ON "sending_domain"("email_service_id", "domain");

-- CreateIndex
CREATE UNIQUE INDEX "sandbox_recipient_email_service_id_email_key" ON "sandbox_recipient"("email_service_id", "email");

-- CreateIndex
CREATE UNIQUE INDEX "email_api_key_hash_key" ON "email_api_key"("hash");

-- CreateIndex
CREATE UNIQUE INDEX "email_api_key_resource_binding_id_key" ON "email_api_key"("resource_binding_id");

-- CreateIndex
CREATE INDEX "email_api_key_email_service_id_id_idx" ON "email_api_key"("email_service_id", "id");

-- CreateIndex
CREATE INDEX "email_message_email_service_id_id_idx" ON "email_message"("email_service_id", "id");

-- CreateIndex
CREATE INDEX "email_message_created_at_idx" ON "email_message"("created_at");

-- AddForeignKey
ALTER TABLE "email_service" ADD CONSTRAINT "email_service_organization_id_id_fkey" FOREIGN KEY ("organization_id", "id") REFERENCES "resource"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "sending_domain" ADD CONSTRAINT "sending_domain_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "sandbox_recipient" ADD CONSTRAINT "sandbox_recipient_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "email_api_key" ADD CONSTRAINT "email_api_key_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "email_api_key" ADD CONSTRAINT "email_api_key_organization_id_resource_binding_id_fkey" FOREIGN KEY ("organization_id", "resource_binding_id") REFERENCES "resource_binding"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "email_message" ADD CONSTRAINT "email_message_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "email_message_recipient" ADD CONSTRAINT "email_message_recipient_email_message_id_fkey" FOREIGN KEY ("email_message_id") REFERENCES "email_message"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "email_count" ADD CONSTRAINT "email_count_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- email_service_stamp
CREATE TRIGGER email_service_stamp BEFORE UPDATE ON email_service FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- sending_domain_stamp
CREATE TRIGGER sending_domain_stamp BEFORE UPDATE ON sending_domain FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- sandbox_recipient_stamp
CREATE TRIGGER sandbox_recipient_stamp BEFORE UPDATE ON sandbox_recipient FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- email_message_stamp
CREATE TRIGGER email_message_stamp BEFORE UPDATE ON email_message FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- sandbox_recipient_code_check
ALTER TABLE sandbox_recipient ADD CONSTRAINT sandbox_recipient_code_check CHECK ((verified_at IS NULL) = (code_mac IS NOT NULL));

-- email_api_key_sealed_check
ALTER TABLE email_api_key ADD CONSTRAINT email_api_key_sealed_check CHECK ((resource_binding_id IS NOT NULL) = (sealed IS NOT NULL));
