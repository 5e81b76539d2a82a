_: { exporters.keycloak = 9000; }
