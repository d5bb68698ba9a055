-- CreateTable
CREATE TABLE "service_usage" (
    "web_service_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "seconds" SMALLINT[],
    "millicores" INTEGER[],
    "memory_bytes" BIGINT[],
    "instances" SMALLINT[],
    "capacity_millicores" INTEGER,
    "capacity_bytes" BIGINT,

    CONSTRAINT "service_usage_pkey" PRIMARY KEY ("web_service_id","hour")
);

-- CreateIndex
CREATE INDEX "service_usage_hour_idx" ON "service_usage"("hour");

-- AddForeignKey
ALTER TABLE "service_usage" ADD CONSTRAINT "service_usage_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
