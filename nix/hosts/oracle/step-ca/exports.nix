_: {
  exporters.step-ca = 9290;
  # `step ssh login` and `step ca certificate`, which listen here for the answer.
  clients.step-ca = {
    public = true;
    redirects = [
      "http://127.0.0.1:10000"
      "http://localhost:10000"
    ];
  };
}
